internal import CLibwebsockets
internal import Logging
internal import Synchronization

/// One thread with the connections that it has accepted. Everything that happens to a connection happens on its loop.
public final class EventLoop: @unchecked Sendable {
  // @unchecked: all but `jobs` and `shownCounters` is used on the loop's thread only, or before it runs.

  /// 0, 1, … in the order in which the server made its loops.
  public let index: Int
  let configuration: Configuration
  let limits: Assembly.Limits
  let admission: Admission
  let originPolicy: OriginPolicy
  /// The handler of the loop's connections and messages.
  var handler: any Handler { unsafe runningHandler }
  // Unchecked: it is replaced only when the loop starts and ends, and read for each message.
  @exclusivity(unchecked) private var runningHandler: any Handler

  let uv: UvLoop
  let context: Context
  let listeners: [Listener]
  private let sweepTimer: UvTimer
  let stopTimer: UvTimer
  /// Runs while connections wait to be read again.
  let resumeTimer: UvTimer
  // See Jobs.swift.
  let jobs = Jobs()
  let delayTimer: UvTimer
  var delayed = DelayedJobs()

  /// Connections without a whole request, and the deadline of each. See Handshakes.swift.
  var handshakes: [Socket: UInt64] = [:]
  // See Proxies.swift.
  /// Connections of trusted proxies.
  var proxied: [Socket: Proxied] = [:]
  /// Connections whose PROXY header has not arrived.
  var prefaces: [ObjectIdentifier: Preface] = [:]
  /// The admitted upgrade, until it is answered within the same call.
  var upgrading: Upgrade?
  /// A socket that is being handed to lws. See Handover.swift.
  var handover: Handover?
  /// Connections that are read for requests, or are being answered. See HttpConnection.swift.
  var httpConnections: [ObjectIdentifier: HttpConnection] = [:]
  let scratch = ScratchBuffer()
  /// The file of a request that lws has parsed, until it is answered within the same call.
  var served: LwsFile?
  /// Inflates compressed messages.
  private(set) lazy var inflater = Inflater()
  /// Index in ``connections`` at which the next sweep begins. See KeepAlive.swift.
  var sweepIndex = 0
  /// Time of the last sweep, in milliseconds of the loop's clock, modulo 2^32.
  var sweptAt: UInt32 = 0
  var counters = Counters()
  let shownCounters = Mutex(Counters())

  /// All open connections, each at its ``Connection/index``. The array keeps them alive.
  private(set) var connections: ContiguousArray<Connection> = []
  private var fanouts: [ObjectIdentifier: Fanout] = [:]

  /// Connections whose handshake has arrived since the last poll.
  private var justOpened: ContiguousArray<Connection> = []
  /// Bytes of messages that have not arrived completely.
  var unfinishedBytes = 0

  // Work for the end of the turn.
  private var grown: ContiguousArray<Fanout> = []
  private var scheduled: ContiguousArray<Connection> = []
  // The work in progress. Work that comes up meanwhile is for the next turn. Both arrays keep their memory.
  private var settling: (fanouts: ContiguousArray<Fanout>, connections: ContiguousArray<Connection>) = ([], [])
  private var burst = Burst()
  private var isPollingOnceMore = false
  /// Time that messages have taken, by the ticket of their address. See Work.swift.
  var debts: [Int: WorkDebt] = [:]
  /// Connections that are paused because of a rate, the log that they append to, or their own backlog.
  var paused: ContiguousArray<Connection> = []
  /// Whether the paused connections must be checked again.
  var isResumeDue = false
  /// Connections that may be read again: their pong has been sent, or their handler has resumed them.
  var answered: ContiguousArray<Connection> = []

  // See Stopping.swift.
  /// The drain in progress.
  var drain: Drain?
  /// The latest time at which the loop ends, in its milliseconds. Nil unless it is stopping.
  var stopDeadline: UInt64?
  var isStopping: Bool { stopDeadline != nil }
  /// Whether the remaining connections are being dropped.
  private(set) var isTearingDown = false

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
    unsafe runningHandler = Unstarted()
    let uv = try UvLoop()
    self.uv = uv
    unsafe (sweepTimer, stopTimer) = (UvTimer(on: uv.loop), UvTimer(on: uv.loop))
    unsafe (resumeTimer, delayTimer) = (UvTimer(on: uv.loop), UvTimer(on: uv.loop))
    do throws(ConfabError) {
      context = try Context(configuration, certificate, on: uv)
    } catch {
      for timer in [sweepTimer, stopTimer, resumeTimer, delayTimer] { timer.close() }
      uv.close()
      uv.closeLoop {}
      throw error
    }
    listeners = descriptors.map { Listener($0) }
    self.makeHandler = makeHandler
  }
  private let makeHandler: @Sendable (EventLoop) -> any Handler

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
    return connections.count
  }

  /// ``Configuration/handshakeTimeout``.
  package var handshakeTimeout: Duration { configuration.handshakeTimeout }

  /// Time in milliseconds, as of the beginning of the turn.
  var now: UInt64 { unsafe uv_now(uv.loop) }

  func preconditionCurrent() {
    precondition(uv.isCurrent, "not on the thread of event loop \(index): use EventLoop.execute")
  }

  // MARK: Connections

  func open(
    _ socket: Socket, _ request: borrowing Request, _ compression: Compression?, _ context: (any AnyObject & Sendable)?
  ) {
    let connection = add(socket, compression)
    connection.storedContext = context
    opened(connection, request)
  }

  /// Calls the handler for a new connection.
  func opened(_ connection: Connection, _ request: borrowing Request) {
    handler.opened(connection, request: request)
    if isStopping { stop(connection) } else { moveIfDraining(connection) }
  }

  func add(_ socket: Socket, _ compression: Compression?) -> Connection {
    let connection = Connection(id: nextConnectionID(), loop: self, socket: socket, compression)
    if !socket.ticket.isExempt { connection.meter = RateMeter(configuration, now: now) }
    connection.heard()
    socket.bind(connection)
    connection.index = Int32(connections.count)
    connections.append(connection)
    justOpened.append(connection)
    return connection
  }

  func remove(_ connection: Connection) {
    let last = connections.removeLast()
    if connection.index < connections.count {
      connections[Int(connection.index)] = last
      last.index = connection.index
    }
  }

  // MARK: The turn

  /// Schedules `fanout` to be written when the turn ends. Any thread.
  func schedule(_ fanout: Fanout) {
    if isCurrent { grown.append(fanout) } else { execute { self.grown.append(fanout) } }
  }

  /// Schedules the connection's own backlog to be written when the turn ends.
  func schedule(_ connection: Connection) {
    if connection.isScheduled { return }
    connection.isScheduled = true
    scheduled.append(connection)
  }

  /// Counts received bytes, to recognize bursts.
  func noteRead(of count: Int) { burst.note(count) }

  /// Called when all readable sockets have been read: writes what that has brought, or polls once more.
  private func polled() {
    isPollingOnceMore = burst.goesOn()
    if isPollingOnceMore { uv.pollWithoutBlocking() } else { endTurn() }
  }

  /// Called before a poll: writes what timers and jobs have brought, without waiting for the poll.
  private func beforePoll() {
    for connection in justOpened {
      connection.isJustOpened = false
      if connection.state == .connecting { stopReading(connection) }
    }
    justOpened.removeAll(keepingCapacity: true)
    if !isPollingOnceMore { endTurn() }
    resumeReading()
  }

  private func endTurn() {
    settle()
    if connections.isEmpty && (isStopping && httpConnections.isEmpty || isDrained) { finish() }
  }

  /// Writes all pending data, once. Data that comes up meanwhile, from other loops or from handlers, is written after
  /// the sockets have been polled again, so that it cannot keep the loop from polling.
  private func settle() {
    swap(&grown, &settling.fanouts)
    for fanout in settling.fanouts { fanout.flush() }
    settling.fanouts.removeAll(keepingCapacity: true)
    swap(&scheduled, &settling.connections)
    for connection in settling.connections {
      connection.isScheduled = false
      if connection.writeBacklog(), connection.state == .closing { connection.requestWritable() }
    }
    settling.connections.removeAll(keepingCapacity: true)
    countOutboxes()
    if !grown.isEmpty || !scheduled.isEmpty { uv.pollWithoutBlocking() }
  }

  /// Returns the fan-out that writes `log` to the members of this loop that have agreed to `compression`.
  func fanout(of log: BroadcastLog, _ compression: Compression?) -> Fanout {
    let form = log.form(compression)
    let key = ObjectIdentifier(form)
    if let fanout = fanouts[key] { return fanout }
    let fanout = Fanout(form, of: log, on: self)
    fanouts[key] = fanout
    return fanout
  }

  /// Bytes of joined logs that this loop's connections have not been sent. Visits only those that lag.
  var unreadBytes: Int { fanouts.values.reduce(0) { $0 + $1.unreadBytes } }

  /// Evicts clients that are too far behind, also in logs that do not grow, when memory for backlogs is short.
  func evictLagging() {
    guard backlogLimit < configuration.maxBacklog else { return }
    for fanout in fanouts.values { fanout.evict() }
    for connection in connections { connection.evictIfFarBehind() }
  }

  func forget(_ fanout: Fanout) { fanouts[ObjectIdentifier(fanout.log)] = nil }

  /// Returns the loop that a connection of lws belongs to.
  static func of(_ wsi: OpaquePointer) -> EventLoop { unsafe Context.of(wsi)!.loop! }

  // MARK: Running

  /// Where a loop runs: on its own thread, on the calling thread until it has ended, or in the host's libuv loop.
  enum Place { case ownThread, thisThread, host(HostLoop.Pointer) }

  /// Starts the loop. `whenEnded` is called last, on the loop's thread. Returns false if its thread cannot be made.
  func start(on place: Place, whenEnded: @escaping @Sendable () -> Void) -> Bool {
    let events = UvLoop.Events(
      started: {
        unsafe self.runningHandler = self.makeHandler(self)
        self.context.serve(self, on: self.uv)
        self.sweep()
        for listener in self.listeners { listener.start(on: self.uv, for: self) }
        self.sweepTimer.start(after: EventLoop.sweepInterval, every: EventLoop.sweepInterval) { self.sweep() }
      },
      woken: { self.jobs.run() },
      polled: { self.polled() },
      willPoll: { self.beforePoll() },
      handlesClosed: { self.context.destroy() },
      ended: {
        unsafe self.runningHandler = Unstarted()
        self.showLastCounters()
        // OpenSSL keeps data for each thread. The program may end before the thread does.
        if self.configuration.tls != nil { OPENSSL_thread_stop() }
        self.jobs.end()
        if case .host = place { return }
        whenEnded()
      })
    switch place {
    case .ownThread: return uv.start(events, name: "confab-loop-\(index)")
    case .thisThread: uv.runHere(events)
    case .host(let host): HostLoop(host, uv).start(events, whenClosed: whenEnded)
    }
    return true
  }

  /// Frees a loop that was never started. Pending jobs of callers are not run; those of actors run elsewhere.
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
    isTearingDown = true
    for preface in prefaces.values { preface.end() }
    for connection in httpConnections.values { connection.end() }
    context.destroy()
    // A connection that was closed just now may have been the last reader of a log.
    settle()
    // All connections are closed. They refer to the loop, so it releases them.
    (justOpened, scheduled, paused, answered) = ([], [], [], [])
    // Jobs that are not done hold references, perhaps to the loop.
    delayed = DelayedJobs()
    for timer in [sweepTimer, stopTimer, resumeTimer, delayTimer] { timer.close() }
    uv.close()
  }
}

private let connectionIDs = Atomic<UInt64>(0)
private func nextConnectionID() -> UInt64 { connectionIDs.wrappingAdd(1, ordering: .relaxed).newValue }
