public import ServiceLifecycle
internal import Synchronization

/// A WebSocket server: listens, accepts, and hands connections and messages to handlers.
///
/// ```swift
/// let server = try Server(Configuration(port: 8080)) { loop in Echo() }
/// try await server.run()
/// ```
///
/// All calls are allowed on any thread, in the process that created the server. In a child of `fork()`, which has none
/// of the server's threads, ``start()``, ``run()`` and ``reloadCertificate()`` throw ``ConfabError/Code/forked``, and
/// the other calls behave as if the server had stopped.
public final class Server: Service, Sendable {
  /// The settings of the server.
  public let configuration: Configuration
  /// The addresses that the server listens on.
  public let addresses: [ListeningAddress]
  /// The TCP port of the server: the chosen one if ``Configuration/port`` is 0. For a Unix domain socket, 0.
  public var port: Int { addresses[0].port }
  /// The event loops.
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
  /// The file of the Unix domain socket that the server has made; nil for none.
  private let socketFile: UnixSocketFile?
  /// Where the loops run, unless each has a thread of its own.
  private let place: EventLoop.RunPlace?

  /// Counters and measurements since the server was created.
  public var statistics: Statistics {
    guard origin.isCurrent else { return Statistics() }
    var statistics = admission.statistics
    for loop in loops { statistics.add(loop.publishedCounters.withLock { $0 }) }
    return statistics
  }

  /// Creates a server and binds its port. Clients can connect from then on, and are served once the server is started.
  ///
  /// - Parameters:
  ///   - configuration: all settings.
  ///   - makeHandler: creates the handler of an event loop. Called once on the thread of each loop when it starts.
  public convenience init(
    _ configuration: Configuration = Configuration(),
    handler makeHandler: @escaping @Sendable (EventLoop) -> any Handler
  ) throws(ConfabError) {
    try self.init(configuration, on: nil, handler: makeHandler)
  }

  init(
    _ configuration: Configuration, on place: EventLoop.RunPlace?, connections: Connections? = nil,
    handler makeHandler: @escaping @Sendable (EventLoop) -> any Handler
  ) throws(ConfabError) {
    try configuration.validate()
    try LwsFeatures.check()
    let configuration = LwsFeatures.supported(configuration)
    let certificate: Certificate? = if let tls = configuration.tls { try Certificate(tls) } else { nil }
    LwsLog.bridge(to: configuration.logger)
    let bound = try ListeningSockets(configuration)
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
      bound.file?.remove()
      throw error
    }
    // The loops have duplicates. If an error was thrown before, the application keeps its descriptors.
    for descriptor in configuration.listeningSockets { closeFile(descriptor) }
    self.configuration = configuration
    self.admission = admission
    self.certificate = certificate
    self.place = place
    asyncConnections = connections
    addresses = bound.addresses
    socketFile = bound.file
    self.loops = loops
  }

  deinit {
    // A child of fork() must not free what the threads of its parent use.
    guard origin.isCurrent else { return }
    asyncConnections?.end()
    switch state.withLock({ $0.phase }) {
    case .made:
      for loop in loops { loop.discard() }
      socketFile?.remove()
    case .running: stop()
    case .ended: break
    }
  }

  /// Starts the event loops, each on a thread of its own, or in the application's event loop if the server was made for
  /// one. A server can be started once.
  public func start() throws(ConfabError) {
    try start(firstOn: .ownThread)
  }

  /// Starts the event loops, the first one on the calling thread. Returns when that one has ended.
  package func startOnThisThread() throws(ConfabError) {
    try start(firstOn: .thisThread)
  }

  private func start(firstOn place: EventLoop.RunPlace) throws(ConfabError) {
    try origin.check()
    let isFirst = state.withLock { state in
      guard case .made = state.phase else { return false }
      state.phase = .running(loops.count)
      return true
    }
    guard isFirst else { throw ConfabError(.alreadyStarted, "the server has been started before; make a new one") }
    // The first loop starts last: it may occupy this thread.
    for loop in loops.reversed() {
      let place = self.place ?? (loop.index == 0 ? place : .ownThread)
      if loop.start(on: place, whenEnded: { [weak self] in self?.loopEnded() }) { continue }
      for rest in loops[...loop.index] { rest.discard() }
      stop(within: .zero)
      for _ in 0...loop.index { loopEnded() }
      throw ConfabError(
        .libraryFailed, "no thread can be created for event loop \(loop.index): the system's limit is reached")
    }
  }

  /// Whether the server has been started and has not stopped.
  package var isRunning: Bool {
    origin.isCurrent && state.withLock { if case .running = $0.phase { true } else { false } }
  }

  /// Whether the server runs in steps.
  package var isPolled: Bool { if case .steps = place { true } else { false } }

  /// Whether the server accepts clients: it has been started, and is not stopping.
  public var isReady: Bool {
    origin.isCurrent && state.withLock { if case .running = $0.phase { !$0.isStopping } else { false } }
  }

  /// Begins to stop the server, and returns at once. The server accepts no new connections and closes all others with
  /// 1001, spread over ``Configuration/drainTime``. Connections that are open ``Configuration/stopTimeout`` later are
  /// dropped. With `timeout`, all connections are closed at once, and dropped after that time. Another call can bring
  /// the deadline nearer. ``waitUntilStopped()`` returns when the server has stopped. A server that has not been
  /// started stops as soon as it is started.
  public func stop(within timeout: Duration? = nil) {
    guard origin.isCurrent else { return }
    state.withLock { $0.isStopping = true }
    socketFile?.remove()
    let drainTime = timeout == nil ? configuration.drainTime : .zero
    for loop in loops { loop.stop(drainingOver: drainTime, within: timeout ?? configuration.stopTimeout) }
  }

  /// Calls `body` when the server has stopped: ``Handler/closed(_:_:)`` has been called for every connection, and every
  /// event loop has ended. The call is made on the thread of the last loop, or at once if the server is not running.
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

  /// Starts the server unless it has been started, and serves until the task is cancelled or the service group shuts
  /// down. Then stops the server as ``stop(within:)`` does.
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

  /// The connections of a server created by ``init(_:authorize:)``. For other servers, whose connections belong to
  /// their handlers, this traps. The sequence ends when the server has stopped, and throws `CancellationError` when the
  /// task is cancelled. A connection is not read before a task has taken it. Several tasks may iterate concurrently.
  public var connections: Connections {
    guard let asyncConnections else {
      preconditionFailure("only a server made by init(_:authorize:) has `connections`")
    }
    return asyncConnections
  }

  /// Reads the files of ``Configuration/tls`` again. When the function returns, all event loops use the new certificate
  /// for new handshakes; existing connections keep theirs. If the files are unusable it throws, and the server keeps
  /// the old certificate. Does nothing without TLS. Any thread.
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
