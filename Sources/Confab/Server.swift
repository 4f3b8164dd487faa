public import ServiceLifecycle
internal import Synchronization

/// A WebSocket server: listens, accepts, and hands connections and messages to handlers.
///
/// ```swift
/// let server = try Server(Configuration(port: 8080)) { loop in Echo() }
/// try await server.run()
/// ```
///
/// All calls are for any thread.
public final class Server: Service, Sendable {
  public let configuration: Configuration
  /// What it listens on.
  public let addresses: [ListeningAddress]
  /// The port it listens on: the one that was taken if the configuration says 0.
  public var port: Int { addresses[0].port }
  /// Its event loops.
  public let loops: [EventLoop]

  private enum Phase {
    case made
    case running(Int)
    case ended
  }
  private struct State {
    var phase = Phase.made
    var waiting: [@Sendable () -> Void] = []
  }
  private let state = Mutex(State())
  private let admission: Admission
  /// The loop of somebody else's that it runs in.
  private let host: HostLoop.Pointer?

  /// What the server has done so far.
  public var statistics: Statistics { admission.statistics }

  /// Takes the port. From then on clients can connect, and are served once the server has been started.
  ///
  /// - Parameter makeHandler: called once for each event loop, on its thread, when it starts.
  public convenience init(
    _ configuration: Configuration = Configuration(),
    handler makeHandler: @escaping @Sendable (EventLoop) -> any Handler
  ) throws(ConfabError) {
    try self.init(configuration, host: nil, handler: makeHandler)
  }

  /// The same in a libuv loop of yours, beside what else is done there: the server has one event loop then, whatever
  /// ``Configuration/loops`` says, and no thread. It lives in yours from ``start()``, which is to be called on the thread
  /// that runs it, or while nobody does, until it has stopped.
  ///
  /// - Parameter loop: a `uv_loop_t *`. It must not be closed, nor freed, before ``whenStopped(_:)`` has told that the
  ///   server has stopped; when it runs out of other work, `uv_run` returns then.
  public convenience init(
    _ configuration: Configuration = Configuration(), onUvLoop loop: UnsafeMutableRawPointer,
    handler makeHandler: @escaping @Sendable (EventLoop) -> any Handler
  ) throws(ConfabError) {
    var configuration = configuration
    configuration.loops = 1
    try self.init(configuration, host: unsafe HostLoop.Pointer(loop), handler: makeHandler)
  }

  private init(
    _ configuration: Configuration, host: HostLoop.Pointer?,
    handler makeHandler: @escaping @Sendable (EventLoop) -> any Handler
  ) throws(ConfabError) {
    try configuration.validate()
    try configuration.tls?.check()
    LwsLog.bridge(to: configuration.logger)
    let bound = try Bound(configuration)
    let admission = Admission(configuration)
    let originPolicy = OriginPolicy(
      allowed: configuration.allowedOrigins, isRequired: configuration.requiresOrigin,
      listensOnLoopbackOnly: bound.addresses.allSatisfy(\.isLoopback))
    var loops: [EventLoop] = []
    do throws(ConfabError) {
      for (index, descriptors) in bound.descriptors.enumerated() {
        loops.append(
          try EventLoop(
            index: index, configuration: configuration, admission: admission, originPolicy: originPolicy,
            descriptors: descriptors, makeHandler: makeHandler))
      }
    } catch {
      for loop in loops { loop.discard() }
      for descriptors in bound.descriptors[loops.count...] { bound.close(descriptors) }
      throw error
    }
    self.configuration = configuration
    self.admission = admission
    self.host = host
    self.addresses = bound.addresses
    self.loops = loops
  }

  deinit {
    switch state.withLock({ $0.phase }) {
    case .made: for loop in loops { loop.discard() }
    case .running: stop()
    case .ended: break
    }
  }

  /// Starts the event loops, each on a thread of its own, unless the server lives in a loop of yours. A server runs once.
  public func start() throws(ConfabError) {
    let isFirst = state.withLock { state in
      guard case .made = state.phase else { return false }
      state.phase = .running(loops.count)
      return true
    }
    guard isFirst else { throw ConfabError(.alreadyStarted, "the server has been started before; make a new one") }
    for loop in loops {
      loop.start(on: host) { [weak self] in self?.loopEnded() }
    }
  }

  /// Begins to stop: no new connections, and the others are closed with 1001. After ``Configuration/stopTimeout`` what is
  /// left is cut off. Returns at once; ``waitUntilStopped()`` tells when it is done.
  public func stop() {
    for loop in loops { loop.stop() }
  }

  /// Calls `body` when the server has stopped: every connection has had its ``Handler/closed(_:_:)``, every event loop has
  /// ended. That is on the thread of the last one; at once if the server does not run.
  public func whenStopped(_ body: @escaping @Sendable () -> Void) {
    let hasEnded = state.withLock { state in
      guard case .running = state.phase else { return true }
      state.waiting.append(body)
      return false
    }
    if hasEnded { body() }
  }

  /// Returns when the server has stopped, see ``whenStopped(_:)``.
  public func waitUntilStopped() async {
    await withCheckedContinuation { continuation in whenStopped { continuation.resume() } }
  }

  /// Starts, if that has not been done, and serves until the task is cancelled or a service group shuts down; then stops
  /// as ``stop()`` says.
  public func run() async throws {
    let isMade = state.withLock { if case .made = $0.phase { true } else { false } }
    if isMade { try start() }
    await withTaskCancellationHandler {
      await withGracefulShutdownHandler {
        await waitUntilStopped()
      } onGracefulShutdown: {
        self.stop()
      }
    } onCancel: {
      self.stop()
    }
  }

  /// Reads the files of ``Configuration/tls`` again, for connections to come; those that exist are not touched. When
  /// something is wrong with them it throws, and the certificate stays what it was.
  public func reloadCertificate() throws(ConfabError) {
    try configuration.tls?.check()
    for loop in loops { loop.reloadCertificate() }
  }

  private func loopEnded() {
    let waiting = state.withLock { state -> [@Sendable () -> Void] in
      guard case .running(let loops) = state.phase else { return [] }
      state.phase = loops > 1 ? .running(loops - 1) : .ended
      guard case .ended = state.phase else { return [] }
      defer { state.waiting = [] }
      return state.waiting
    }
    for body in waiting { body() }
  }
}
