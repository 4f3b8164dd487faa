internal import Synchronization

/// One thread with the connections that it has accepted. Everything that happens to a connection happens on its loop.
public final class EventLoop: @unchecked Sendable {
  // @unchecked: all but `jobs` and `publishedCounters` is used on the loop's thread only, or before it runs.

  /// 0, 1, … in the order in which the server made its loops.
  public let index: Int
  let configuration: Configuration
  let limits: Assembly.Limits
  let admission: Admission
  let originPolicy: OriginPolicy
  /// The handler of the loop's connections and messages.
  var handler: any Handler { unsafe runningHandler }
  // Unchecked: it is replaced only when the loop starts and ends, and read for each message.
  @exclusivity(unchecked) private var runningHandler: any Handler = Unstarted()
  private let makeHandler: @Sendable (EventLoop) -> any Handler

  // The thread and its handles.
  let uv: UvLoop
  let context: Context
  let listeners: [Listener]
  let jobs = Jobs()
  let timers: TimerQueue
  private let sweepTimer: UvTimer

  // Clients before their first request for a WebSocket.
  /// Connections of trusted proxies whose PROXY header has not arrived.
  var proxyHeaderReaders = ObjectSet<ProxyHeaderReader>()
  /// Connections that are read for requests, or are being answered.
  var httpConnections = ObjectSet<HttpConnection>()
  var handshakes = HandshakeDeadlines()
  var proxied = ProxiedSockets()

  // Connections.
  var connections = ConnectionTable()
  var fanouts = Fanouts()
  let turn: Turn
  let reads: ReadScheduler
  let idleSweep: IdleSweep
  let work: WorkShares
  let stopping: Stopping

  /// Bytes of messages that have not arrived completely.
  var unfinishedBytes = 0
  /// Inflates compressed messages.
  private(set) lazy var inflater = Inflater()
  let scratch = ScratchBuffer()
  var counters = Counters()
  let publishedCounters = Mutex(Counters())

  init(
    index: Int, configuration: Configuration, admission: Admission, originPolicy: OriginPolicy,
    certificate: Certificate?,
    descriptors: [Int32], makeHandler: @escaping @Sendable (EventLoop) -> any Handler
  ) throws(ConfabError) {
    self.index = index
    self.configuration = configuration
    limits = Assembly.Limits(configuration)
    self.admission = admission
    self.originPolicy = originPolicy
    self.makeHandler = makeHandler
    let uv = try UvLoop()
    self.uv = uv
    timers = TimerQueue(on: uv)
    sweepTimer = UvTimer(on: uv)
    turn = Turn(on: uv, maxDelivery: configuration.maxTurnDelivery)
    reads = ReadScheduler(on: uv)
    idleSweep = IdleSweep(configuration)
    work = WorkShares(configuration)
    stopping = Stopping(on: uv)
    do throws(ConfabError) {
      context = try Context(configuration, certificate, on: uv)
    } catch {
      endTimers(timers, reads, stopping, sweepTimer)
      uv.close()
      uv.closeLoop {}
      throw error
    }
    listeners = descriptors.map { Listener($0) }
  }

  /// Stands in for the handler while the loop's thread does not run.
  private final class Unstarted: Handler {
    func received(_ message: Message, from connection: Connection) {}
  }

  // MARK: Calling

  /// Whether the caller is on the loop's thread.
  public var isCurrent: Bool { uv.isCurrent }

  /// Number of open connections of this loop. Loop thread only.
  public var connectionCount: Int {
    preconditionCurrent()
    return connections.all.count
  }

  /// ``Configuration/handshakeTimeout``.
  package var handshakeTimeout: Duration { configuration.handshakeTimeout }
  /// ``Configuration/maxRoomsPerConnection``.
  package var maxRoomsPerConnection: Int { configuration.maxRoomsPerConnection }
  /// ``Configuration/maxPathLength``.
  package var maxPathLength: Int { configuration.maxPathLength }

  /// Returns whether the cookies of a request may identify its user, because the origin of its page is allowed by name.
  package func admitsCookies(of request: RequestHead) -> Bool {
    originPolicy.admitsByName(request[header: "origin"], host: request.http.host)
  }

  /// Time in milliseconds, as of the beginning of the turn.
  package var now: UInt64 { uv.now }

  func preconditionCurrent() {
    precondition(uv.isCurrent, "not on the thread of event loop \(index): use EventLoop.execute")
  }

  // MARK: The turn

  /// Schedules `fanout` to be written when the turn ends. Any thread.
  func schedule(_ fanout: Fanout) {
    if isCurrent {
      turn.schedule(fanout)
      fanout.addOwner(work.payer, work.payload)
    } else {
      execute { self.turn.schedule(fanout) }
    }
  }

  /// Called before a poll: writes the output of timers and jobs, and resumes reading.
  private func beforePoll() {
    for connection in connections.takeJustOpened() { connection.handshakeWasRead() }
    if turn.endsBeforePoll { endTurn() }
    reads.run()
    work.endReceiving()
  }

  private func endTurn() {
    writePending()
    if connections.all.isEmpty && (isStopping && httpConnections.isEmpty || isDrained) { finish() }
  }

  private func writePending() {
    work.endReceiving()
    turn.write()
    countOutboxes()
  }

  /// Does the periodic work of the loop.
  private func sweep() {
    publishCounters()
    idleSweep.begin(now: now)
    endLateHandshakes()
    evictLagging()
    work.forgetPaidDebts()
    idleSweep.visit { connections.all }
  }

  /// Evicts clients that are too far behind, also in logs that do not grow, when memory for backlogs is short.
  private func evictLagging() {
    guard backlogLimit < configuration.maxBacklog else { return }
    fanouts.evict()
    for connection in connections.all { connection.evictIfFarBehind() }
  }

  // MARK: Running

  /// The place where a loop runs: on its own thread, on the calling thread until it has ended, in the host's libuv
  /// loop, or in steps.
  enum RunPlace { case ownThread, thisThread, host(HostLoop.Pointer), steps }

  /// Starts the loop. `whenEnded` is called last, on the loop's thread. Returns false if its thread cannot be made.
  func start(on place: RunPlace, whenEnded: @escaping @Sendable () -> Void) -> Bool {
    let events = UvLoop.Events(
      started: {
        unsafe self.runningHandler = self.makeHandler(self)
        self.context.serve(self, on: self.uv)
        self.sweep()
        for listener in self.listeners { listener.start(on: self.uv, for: self) }
        self.sweepTimer.start(after: IdleSweep.interval, every: IdleSweep.interval) { self.sweep() }
      },
      woken: { self.jobs.run() },
      polled: { if self.turn.endsAfterPoll() { self.endTurn() } },
      willPoll: { self.beforePoll() },
      handlesClosed: { self.context.destroy() },
      ended: {
        unsafe self.runningHandler = Unstarted()
        self.publishLastCounters()
        // OpenSSL's data must be freed now, because the program may end before the thread does. Handlers use OpenSSL
        // even without TLS.
        Certificate.freeThreadData()
        self.jobs.end()
        if case .host = place { return }
        whenEnded()
      })
    switch place {
    case .ownThread: return uv.start(events, name: "confab-loop-\(index)")
    case .thisThread: uv.runHere(events)
    case .host(let host): HostLoop(host, uv).start(events, whenClosed: whenEnded)
    case .steps: uv.begin(events)
    }
    return true
  }

  /// See ``Server/pollDescriptor``.
  var pollDescriptor: Int32 { uv.descriptor }

  /// See ``Server/pollTimeout``. Within a turn, the next one is due at once.
  func willPoll() -> Int32 {
    preconditionCurrent()
    return uv.isTurning ? 0 : uv.willPoll()
  }

  /// Runs one turn of a loop that runs in steps, and ends the loop after the last one.
  func step() {
    preconditionCurrent()
    if !uv.isTurning && !uv.turn() { uv.end() }
  }

  /// Frees a loop that was never started. Pending jobs of callers are not run; jobs of actors run on another thread.
  func discard() {
    for listener in listeners { listener.stop() }
    _ = jobs.close()
    jobs.discard()
    tearDown()
    uv.closeLoop { context.destroy() }
    jobs.end()
  }

  /// Ends the remaining connections. The loop's thread ends once lws has closed everything.
  func finish() {
    guard jobs.close() else { return }
    jobs.run()
    tearDown()
  }

  private func tearDown() {
    stopping.beginTearDown()
    for reader in proxyHeaderReaders.all { reader.end() }
    for connection in httpConnections.all { connection.end() }
    context.destroy()
    // A connection that was closed just now may have been the last reader of a log.
    writePending()
    // All connections are closed. They refer to the loop, so it releases them.
    _ = connections.takeJustOpened()
    turn.end()
    endTimers(timers, reads, stopping, sweepTimer)
    uv.close()
  }
}

private func endTimers(_ timers: TimerQueue, _ reads: ReadScheduler, _ stopping: Stopping, _ sweepTimer: UvTimer) {
  timers.end()
  reads.end()
  stopping.end()
  sweepTimer.close()
}
