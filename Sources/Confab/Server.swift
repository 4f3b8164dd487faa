public import ServiceLifecycle
internal import Synchronization

/// A WebSocket server: listens, accepts, and hands connections and messages to handlers.
///
/// ```swift
/// let server = try Server(Configuration(port: 8080)) { loop in Echo() }
/// try await server.run()
/// ```
///
/// All calls are for any thread. They are for the process that made the server: in a child of `fork()`, which has none of
/// its threads, ``start()``, ``run()`` and ``reloadCertificate()`` throw ``ConfabError/Code/forked``, and for the other
/// calls the server has stopped.
public final class Server: Service, Sendable {
  /// What it was made with.
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
    var isStopping = false
  }
  private let state = Mutex(State())
  package let origin = OriginProcess()
  private let admission: Admission
  private let certificate: Certificate?
  private let asyncConnections: Connections?
  /// The loop of somebody else's that it runs in.
  private let host: HostLoop.Pointer?

  /// What the server has done so far.
  public var statistics: Statistics {
    guard origin.isCurrent else { return Statistics() }
    var statistics = admission.statistics
    for loop in loops { statistics.add(loop.shownCounters.withLock { $0 }) }
    return statistics
  }

  /// Takes the port. From then on clients can connect, and are served once the server has been started.
  ///
  /// - Parameters:
  ///   - configuration: every setting.
  ///   - makeHandler: called once for each event loop, on its thread, when it starts.
  public convenience init(
    _ configuration: Configuration = Configuration(),
    handler makeHandler: @escaping @Sendable (EventLoop) -> any Handler
  ) throws(ConfabError) {
    try self.init(configuration, host: nil, handler: makeHandler)
  }

  init(
    _ configuration: Configuration, host: HostLoop.Pointer?, connections: Connections? = nil,
    handler makeHandler: @escaping @Sendable (EventLoop) -> any Handler
  ) throws(ConfabError) {
    try configuration.validate()
    let certificate: Certificate? = if let tls = configuration.tls { try Certificate(tls) } else { nil }
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
            certificate: certificate, descriptors: descriptors, makeHandler: makeHandler))
      }
    } catch {
      for loop in loops { loop.discard() }
      for descriptors in bound.descriptors[loops.count...] { bound.close(descriptors) }
      throw error
    }
    self.configuration = configuration
    self.admission = admission
    self.certificate = certificate
    self.host = host
    asyncConnections = connections
    self.addresses = bound.addresses
    self.loops = loops
  }

  deinit {
    // A child of fork() leaves what the threads of its parent use.
    guard origin.isCurrent else { return }
    asyncConnections?.end()
    switch state.withLock({ $0.phase }) {
    case .made: for loop in loops { loop.discard() }
    case .running: stop()
    case .ended: break
    }
  }

  /// Starts the event loops, each on a thread of its own, unless the server lives in a loop of yours. A server runs once.
  public func start() throws(ConfabError) {
    try start(firstOn: .ownThread)
  }

  /// The same, but the first event loop has the calling thread until it has ended.
  package func startOnThisThread() throws(ConfabError) {
    try start(firstOn: .thisThread)
  }

  private func start(firstOn place: EventLoop.Place) throws(ConfabError) {
    try origin.check()
    let isFirst = state.withLock { state in
      guard case .made = state.phase else { return false }
      state.phase = .running(loops.count)
      return true
    }
    guard isFirst else { throw ConfabError(.alreadyStarted, "the server has been started before; make a new one") }
    // The first one last: it may have this thread.
    for loop in loops.reversed() {
      let place = host.map { .host($0) } ?? (loop.index == 0 ? place : .ownThread)
      if loop.start(on: place, whenEnded: { [weak self] in self?.loopEnded() }) { continue }
      for rest in loops[...loop.index] { rest.discard() }
      stop(within: .zero)
      for _ in 0...loop.index { loopEnded() }
      throw ConfabError(
        .engineFailed, "no thread can be made for event loop \(loop.index): the system's limit is reached")
    }
  }

  /// Whether it has been started and has not stopped.
  package var isRunning: Bool {
    origin.isCurrent && state.withLock { if case .running = $0.phase { true } else { false } }
  }

  /// Whether it takes clients: it has been started, and does not stop.
  public var isReady: Bool {
    origin.isCurrent && state.withLock { if case .running = $0.phase { !$0.isStopping } else { false } }
  }

  /// Begins to stop: no new connections, and the others are closed with 1001, spread over ``Configuration/drainTime``.
  /// What is left ``Configuration/stopTimeout`` later is cut off. With `timeout` all are closed at once, and cut off after
  /// that; stopping again can bring that nearer. Returns at once; ``waitUntilStopped()`` tells when it is done. A server
  /// that has not been started stops as soon as it is.
  public func stop(within timeout: Duration? = nil) {
    guard origin.isCurrent else { return }
    state.withLock { $0.isStopping = true }
    let drainTime = timeout == nil ? configuration.drainTime : .zero
    for loop in loops { loop.stop(drainingOver: drainTime, within: timeout ?? configuration.stopTimeout) }
  }

  /// Calls `body` when the server has stopped: every connection has had its ``Handler/closed(_:_:)``, every event loop has
  /// ended. That is on the thread of the last one; at once if the server does not run.
  public func whenStopped(_ body: @escaping @Sendable () -> Void) {
    guard origin.isCurrent else { return body() }
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
  /// as ``stop(within:)`` says.
  public func run() async throws {
    try origin.check()
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

  /// Those who connect, of a server that was made by ``init(_:authorize:)``; other servers have a handler for that, and
  /// asking them for it traps. The sequence ends when the server has stopped, and throws `CancellationError` when the task
  /// is cancelled. A client that nobody has taken yet is not read. Several tasks may take turns.
  public var connections: Connections {
    guard let asyncConnections else { preconditionFailure("the connections of this server are its handler's") }
    return asyncConnections
  }

  /// Reads the files of ``Configuration/tls`` again, once. When it returns, all event loops use the new certificate for
  /// handshakes from then on; existing connections keep theirs. When something is wrong with the files it throws, and the
  /// certificate stays what it was. Does nothing without TLS. Any thread.
  public func reloadCertificate() throws(ConfabError) {
    try origin.check()
    try certificate?.reload()
  }

  private func loopEnded() {
    let (hasEnded, waiting) = state.withLock { state -> (Bool, [@Sendable () -> Void]) in
      guard case .running(let loops) = state.phase else { return (false, []) }
      state.phase = loops > 1 ? .running(loops - 1) : .ended
      guard case .ended = state.phase else { return (false, []) }
      defer { state.waiting = [] }
      return (true, state.waiting)
    }
    if hasEnded { asyncConnections?.end() }
    for body in waiting { body() }
  }
}
