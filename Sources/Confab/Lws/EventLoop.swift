internal import CLibwebsockets
internal import Logging
internal import Synchronization

/// One thread with the connections that it has accepted. All that happens to a connection happens on its loop.
public final class EventLoop: @unchecked Sendable {
  // @unchecked: all but `jobs` and `shownCounters` is used on the loop's thread only, or before it runs.

  /// 0, 1, … in the order in which the server made its loops.
  public let index: Int
  let configuration: Configuration
  let limits: Assembly.Limits
  let admission: Admission
  let originPolicy: OriginPolicy
  /// Who hears of connections and messages.
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

  /// Connections of which no whole request has come yet, and when that is too late. See Handshakes.swift.
  var handshakes: [Socket: UInt64] = [:]
  // See Proxies.swift.
  /// Connections of trusted proxies.
  var proxied: [Socket: Proxied] = [:]
  /// Those that have not said yet whom they speak for.
  var prefaces: [ObjectIdentifier: Preface] = [:]
  /// The connection whose upgrade has been admitted, until it is answered within the same call.
  var upgrading: Upgrade?
  /// A socket that is being handed to lws. See Handover.swift.
  var handover: Handover?
  /// Connections that are read for requests, or get an answer. See HttpConnection.swift.
  var httpConnections: [ObjectIdentifier: HttpConnection] = [:]
  let scratch = ScratchBuffer()
  /// The file of a request that lws has parsed, until it is answered within the same call.
  var served: LwsFile?
  /// Expands what connections send compressed.
  private(set) lazy var inflater = Inflater()
  /// The index in ``connections`` that the next sweep begins at. See KeepAlive.swift.
  var sweepIndex = 0
  /// Milliseconds on a clock that goes on with each sweep.
  var sweptAt: UInt32 = 0
  var counters = Counters()
  let shownCounters = Mutex(Counters())

  /// All open connections, each at its ``Connection/index``. This is what keeps them alive.
  private(set) var connections: ContiguousArray<Connection> = []
  private var fanouts: [ObjectIdentifier: Fanout] = [:]

  /// Connections whose handshake has come since the last poll.
  private var justOpened: ContiguousArray<Connection> = []
  /// The bytes of messages of which not all has come.
  var unfinishedBytes = 0

  // What is to be done when the turn ends.
  private var grown: ContiguousArray<Fanout> = []
  private var scheduled: ContiguousArray<Connection> = []
  // The same while it is done; what comes up then is for the next turn. Both keep their memory.
  private var settling: (fanouts: ContiguousArray<Fanout>, connections: ContiguousArray<Connection>) = ([], [])
  private var burst = Burst()
  private var isPollingOnceMore = false
  /// What messages have taken, by the ticket of their address. See Work.swift.
  var debts: [Int: WorkDebt] = [:]
  /// Connections that are not read, because of the log that they append to, or of a rate.
  var paused: ContiguousArray<Connection> = []
  /// Whether some of them may be read again.
  var isResumeDue = false
  /// Connections that have not been read until their ping was answered, which it is now.
  var answered: ContiguousArray<Connection> = []

  // See Stopping.swift.
  /// How it drains, once it does.
  var drain: Drain?
  /// When it ends if it has not before, in its milliseconds, once it stops.
  var stopDeadline: UInt64?
  var isStopping: Bool { stopDeadline != nil }
  /// Whether what is left is being cut off.
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

  /// Takes the place of the handler until the loop's thread has made it.
  private final class Unstarted: Handler {
    func received(_ message: Message, from connection: Connection) {}
  }

  // MARK: Calling

  /// Whether the caller is on the loop's thread.
  public var isCurrent: Bool { uv.isCurrent }

  /// The open connections of this loop. Loop thread only.
  public var connectionCount: Int {
    preconditionCurrent()
    return connections.count
  }

  /// ``Configuration/handshakeTimeout``.
  package var handshakeTimeout: Duration { configuration.handshakeTimeout }

  /// Milliseconds on a clock that goes on with each turn.
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

  /// Tells the handler of a connection.
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

  /// Has `fanout` written when the turn ends. Any thread.
  func schedule(_ fanout: Fanout) {
    if isCurrent { grown.append(fanout) } else { execute { self.grown.append(fanout) } }
  }

  /// Has the connection's own backlog written when the turn ends.
  func schedule(_ connection: Connection) {
    if connection.isScheduled { return }
    connection.isScheduled = true
    scheduled.append(connection)
  }

  /// Notes a read, to see bursts.
  func noteRead(of count: Int) { burst.note(count) }

  /// All sockets that were readable have been read: writes what that has brought.
  private func polled() {
    isPollingOnceMore = burst.goesOn()
    if isPollingOnceMore { uv.pollWithoutBlocking() } else { endTurn() }
  }

  /// A poll is about to begin: what timers and the like have brought does not wait for it.
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

  /// Writes once what there is. What comes up meanwhile, from other loops or from handlers, has its turn after the
  /// sockets have been polled again: nobody can keep the loop from that.
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

  /// Who writes `log` to the members of this loop that have agreed to `compression`.
  func fanout(of log: BroadcastLog, _ compression: Compression?) -> Fanout {
    let form = log.form(compression)
    let key = ObjectIdentifier(form)
    if let fanout = fanouts[key] { return fanout }
    let fanout = Fanout(form, of: log, on: self)
    fanouts[key] = fanout
    return fanout
  }

  /// What its connections have not been sent of the logs that they have joined. Looks at those alone that lag.
  var unreadBytes: Int { fanouts.values.reduce(0) { $0 + $1.unreadBytes } }

  /// When memory for backlogs is short, clients that are too far behind are evicted also in logs that do not grow.
  func evictLagging() {
    guard backlogLimit < configuration.maxBacklog else { return }
    for fanout in fanouts.values { fanout.evict() }
    for connection in connections { connection.evictIfFarBehind() }
  }

  func forget(_ fanout: Fanout) { fanouts[ObjectIdentifier(fanout.log)] = nil }

  /// The loop that a connection of lws belongs to.
  static func of(_ wsi: OpaquePointer) -> EventLoop { unsafe Context.of(wsi)!.loop! }

  // MARK: Running

  /// Where a loop runs: on a thread of its own, on the one that starts it, which it keeps until it has ended, or in a loop
  /// of somebody else's.
  enum Place { case ownThread, thisThread, host(HostLoop.Pointer) }

  /// Starts the loop. `whenEnded` is called on its thread as the last thing. False if no thread can be made for it.
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
        // What OpenSSL keeps for a thread: the program may end before the thread has.
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

  /// Frees a loop that was never started. Jobs that wait for it are not run.
  func discard() {
    for listener in listeners { listener.stop() }
    _ = jobs.close()
    jobs.discard()
    tearDown()
    uv.closeLoop { context.destroy() }
    jobs.end()
  }

  /// Ends what is left. The loop's thread ends once lws has closed everything.
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
    // What was closed just now may have been the last that a log was read for.
    settle()
    // All connections are closed. They refer to the loop, so it lets go of them.
    (justOpened, scheduled, paused, answered) = ([], [], [], [])
    // Jobs that are not done hold what they would have been done for, the loop perhaps.
    delayed = DelayedJobs()
    for timer in [sweepTimer, stopTimer, resumeTimer, delayTimer] { timer.close() }
    uv.close()
  }
}

private let connectionIDs = Atomic<UInt64>(0)
private func nextConnectionID() -> UInt64 { connectionIDs.wrappingAdd(1, ordering: .relaxed).newValue }
