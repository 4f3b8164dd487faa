internal import Synchronization

/// One WebSocket connection, from ``Handler/opened(_:request:)`` to ``Handler/closed(_:_:)``.
///
/// A reference may be kept and passed to other threads, but all calls must be made on the thread of its ``loop``. From
/// elsewhere use `connection.loop.execute { connection.send(...) }`. Calls on another thread trap, also after the loop
/// has ended. After ``Handler/closed(_:_:)``, calls have no effect, and report this in their results.
public final class Connection: @unchecked Sendable {
  // @unchecked: every stored variable is used on the loop's thread only. Each public call checks the thread.

  /// A number that is unique in the process and is never reused.
  public let id: UInt64
  /// The event loop of the connection.
  public let loop: EventLoop
  /// The application's object for this connection. Released with the connection.
  public var context: AnyObject? {
    get { onLoop { storedContext } }
    set { onLoop { storedContext = newValue } }
  }
  var storedContext: AnyObject?
  /// The object of a handler of this package, such as the chat's. ``context`` is left to the application. Loop thread
  /// only. Released with the connection.
  package var handlerState: AnyObject?

  // An idle connection consists of this object and lws's memory for it. The order of the members leaves no gaps. Each
  // part is changed only in the file that declares its type.

  /// Nil from LWS_CALLBACK_CLOSED on.
  var socket: Socket?
  /// Set when either side has begun to close.
  var ending: Ending?
  /// The client's rates, if the limits of rates apply to it.
  let meter: RateMeter?
  /// The joined logs.
  var memberships = Memberships()
  /// The message that is being received.
  var receiving = Receiving()
  var reading = Reading()
  var output = Output()
  var state = ReadyState.open
  /// The messages for this client alone.
  var writing = Writing()
  /// The agreed compression of messages; nil without compression.
  let compression: Compression?
  var activity = Activity()
  /// The index in ``ConnectionTable/all``.
  var index: Int32 = 0

  init(
    id: UInt64, loop: EventLoop, socket: Socket, _ compression: Compression?, state: ReadyState,
    context: AnyObject?
  ) {
    (self.id, self.loop, self.socket, self.compression) = (id, loop, socket, compression)
    (self.state, storedContext) = (state, context)
    meter = socket.ticket.isExempt ? nil : RateMeter(loop.configuration, now: loop.now)
  }

  /// The states of the browser's API, with its numbers (HTML Standard, WebSocket.readyState).
  public enum ReadyState: UInt8, Sendable {
    /// The authorization is pending; the handler does not know the connection yet.
    case connecting = 0
    /// Messages are sent and received.
    case open = 1
    /// Either side has begun to close.
    case closing = 2
    /// The connection is closed.
    case closed = 3
  }

  /// The result of sending a message.
  public enum SendResult: Sendable {
    /// The message is written when the turn ends, or as soon as the peer has read the messages before it.
    case queued
    /// The message is queued, but ``bufferedAmount`` is over ``Configuration/backlogMark``. Wait for
    /// ``Handler/drained(_:)`` before sending more.
    case backlogged
    /// The message is not sent: the connection is closing or closed, or more than ``Configuration/maxBacklog`` bytes
    /// would be queued with it. In the latter case the connection is closed with 1013, and its backlog is discarded. A
    /// message of any size is queued if the queue is empty. If the connection has joined several logs, their unread
    /// messages are queued before the message, and count. Nothing is written before the turn of the loop ends, so one
    /// call of a handler must not send more than that limit.
    case dropped
  }

  /// The state of the connection.
  public var readyState: ReadyState { onLoop { state } }

  /// Bytes accepted for this client, including frame headers, and not yet handed to the kernel. As in the browser's
  /// API, except that bytes that lws holds from the last write count as a full segment.
  public var bufferedAmount: Int { onLoop { backlog } }

  /// The joined logs, in no particular order.
  public var logs: [BroadcastLog] { onLoop { memberships.logs } }

  /// Sends a message to this client alone: after all messages that were appended to its logs before, and before all
  /// that are appended later.
  @discardableResult
  public func send(_ message: Message) -> SendResult { onLoop { queue(message) } }

  /// Sends text to this client alone.
  @discardableResult
  public func send(_ text: String) -> SendResult { send(Message(.text, Array(text.utf8).span)) }

  /// Sends a message to this client alone.
  @discardableResult
  public func send(_ message: OwnedMessage) -> SendResult { send(message.message) }

  /// Makes this connection a reader of `log`: it gets all messages that are appended from now on. A connection may
  /// read several logs. It gets the messages of each log in order, and those of different logs in any order.
  ///
  /// Returns whether the connection reads the log. Returns false if the connection is closing, or if it reads
  /// ``Configuration/maxRoomsPerConnection`` other logs.
  @discardableResult
  public func join(_ log: BroadcastLog) -> Bool {
    onLoop { state == .open && (memberships.contains(log) || joinLog(log)) }
  }

  /// Leaves a log, if the connection has joined it. Messages that were appended before are still delivered. If more
  /// than ``Configuration/maxBacklog`` bytes are unread, the connection is closed with 1013.
  public func leave(_ log: BroadcastLog) {
    onLoop { if state == .open, let fanout = memberships.fanout(of: log) { leaveLog(fanout) } }
  }

  /// Begins the closing handshake (RFC 6455, section 7.1.2) once all earlier messages have been written. No more
  /// messages are received. If the peer has not answered after ``Configuration/closeTimeout``, the connection is
  /// dropped.
  ///
  /// - Parameters:
  ///   - code: a code that may be sent, see ``CloseCode/isSendable``.
  ///   - reason: truncated to 123 bytes, the maximum in a close frame, at a character boundary.
  public func close(_ code: CloseCode = .normal, reason: String = "") {
    precondition(code.isSendable, "close code \(code) must not be sent (RFC 6455, section 7.4)")
    onLoop { beginClose(code, reason: reason, discardingBacklog: false, patience: loop.configuration.closeTimeout) }
  }

  private func onLoop<Result>(_ body: () -> Result) -> Result {
    loop.preconditionCurrent()
    return body()
  }
}

extension EventLoop {
  /// Opens a connection for an upgrade that is being answered.
  func open(
    _ socket: Socket, _ request: borrowing Request, _ compression: Compression?, _ acceptance: Authorization.Acceptance
  ) {
    let connection = add(socket, compression, .open, acceptance.context)
    connection.handlerState = acceptance.handlerState
    opened(connection, request)
  }

  /// Calls the handler for a new connection.
  func opened(_ connection: Connection, _ request: borrowing Request) {
    handler.opened(connection, request: request)
    stopIfStopping(connection)
  }

  /// Adds a connection that is open, or waits for its authorization.
  func add(
    _ socket: Socket, _ compression: Compression?, _ state: Connection.ReadyState, _ context: AnyObject?
  ) -> Connection {
    let connection = Connection(
      id: nextConnectionID(), loop: self, socket: socket, compression, state: state, context: context)
    connection.noteActivity()
    socket.bind(connection)
    connections.add(connection)
    return connection
  }
}

private let connectionIDs = Atomic<UInt64>(0)
private func nextConnectionID() -> UInt64 { connectionIDs.wrappingAdd(1, ordering: .relaxed).newValue }
