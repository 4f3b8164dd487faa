/// One WebSocket client, from ``Handler/opened(_:request:)`` to ``Handler/closed(_:_:)``.
///
/// A reference may be kept and passed to other threads, but all calls are for the thread of its ``loop``; from elsewhere
/// use `connection.loop.execute { connection.send(...) }`. Calls on another thread trap, after the loop has ended, too. After ``Handler/closed(_:_:)``
/// they do nothing and say so.
public final class Connection: @unchecked Sendable {
  // @unchecked: every stored variable is used on the loop's thread only, which each public call checks.

  /// Unique in the process, never used again.
  public let id: UInt64
  /// The event loop that the connection lives on.
  public let loop: EventLoop
  /// Yours: what belongs to this connection, without a table beside it. Released with the connection.
  public var context: AnyObject? {
    get { onLoop { storedContext } }
    set { onLoop { storedContext = newValue } }
  }
  var storedContext: AnyObject?

  // An idle connection is this and what lws has for it; the order leaves no gaps.

  /// Nil from LWS_CALLBACK_CLOSED on.
  var socket: Socket?
  /// How the connection is ending, from the moment that a side began to.
  var ending: Ending?
  /// A message that has not arrived whole.
  var assembly: Assembly?
  /// What it sends, if limits of rates are for it.
  var meter: RateMeter?

  // What it still has to be sent: see Lws/Backlog.swift and Lws/Fanout.swift.
  /// The fan-out of the log that it has joined.
  var fanout: Fanout?
  /// Messages for it alone.
  var outbox: Outbox?
  var place = Place.none
  /// Whether it is among the loop's connections to be looked after when the turn ends.
  var isScheduled = false
  /// Whether ``Handler/drained(_:)`` is owed.
  var owesDrained = false
  /// Whether it has been sent a ping since it was heard of.
  var isPinged = false
  /// Whether it is not read for a while.
  var isPaused = false
  /// Whether its handler wants that.
  var isHeldBack = false
  /// Whether its handshake has come since the last poll, see ``receive(_:_:)``.
  var isJustOpened = true
  // See Lws/Pings.swift.
  /// Whether a ping has come that lws has not answered yet.
  var owesPong = false
  /// Whether the loop polls the socket for output …
  var isPollingOutput = false
  /// … because the server wants to write.
  var isWritableRequested = false
  var state = ReadyState.open
  /// How messages are compressed, if they are.
  let compression: Compression?
  /// When the peer was heard of, see ``EventLoop/sweptAt``.
  var heardAt: UInt32 = 0
  /// How many bytes the peer had acknowledged when the kernel was asked last, modulo 2^32.
  var ackedBytes: UInt32 = 0
  /// Its index in ``EventLoop/connections``.
  var index: Int32 = 0
  /// Its index among the fan-out's members of the same place.
  var slot: Int32 = 0

  init(id: UInt64, loop: EventLoop, socket: Socket, _ compression: Compression?) {
    self.compression = compression
    self.id = id
    self.loop = loop
    self.socket = socket
  }

  /// The states of the browser's API, with its numbers (HTML Standard, WebSocket.readyState).
  public enum ReadyState: UInt8, Sendable {
    /// Its authorization has been asked for: no handler has heard of it yet.
    case connecting = 0
    /// Messages go both ways.
    case open = 1
    /// Either side has begun to close.
    case closing = 2
    /// It has ended.
    case closed = 3
  }

  /// What became of a message.
  public enum SendResult: Sendable {
    /// It will be written when the turn ends, or as soon as the peer has read what comes before it.
    case queued
    /// The same, but ``bufferedAmount`` is now over ``Configuration/backlogMark``: better wait for
    /// ``Handler/drained(_:)``.
    case backlogged
    /// It won't be sent: the connection is closing or closed, or more than ``Configuration/maxBacklog`` bytes would wait
    /// with it, for which it is closed now with 1013, and what was waiting is not sent either. A message is queued, however
    /// large, when none is waiting. Nothing is written before the turn of the loop ends, so what one call of a handler
    /// sends must not exceed that.
    case dropped
  }

  /// How far it is from beginning and end.
  public var readyState: ReadyState { onLoop { state } }

  /// The bytes that have been accepted for this client, frame headers included, and not yet handed to the kernel. As in
  /// the browser's API, but what lws holds of the last write counts as a whole.
  public var bufferedAmount: Int { onLoop { backlog } }

  /// The log that the connection has joined.
  public var log: BroadcastLog? { onLoop { fanout?.root } }

  /// Sends a message to this client alone, behind everything that was appended to its log before.
  @discardableResult
  public func send(_ message: Message) -> SendResult { onLoop { queue(message) } }

  /// Sends text to this client alone.
  @discardableResult
  public func send(_ text: String) -> SendResult { send(Message(.text, Array(text.utf8).span)) }

  /// Sends a message to this client alone.
  @discardableResult
  public func send(_ message: OwnedMessage) -> SendResult { send(message.message) }

  /// Makes this connection a reader of `log`: it gets what is appended from now on. A connection reads one log at a
  /// time, so it leaves another one first.
  public func join(_ log: BroadcastLog) {
    onLoop {
      guard state == .open, fanout?.root !== log else { return }
      leaveLog()
      // Leaving closes one who has too much unread.
      if state == .open { loop.fanout(of: log, compression).add(self) }
    }
  }

  /// Ends what ``join(_:)`` began. What was appended before still arrives; who has more than
  /// ``Configuration/maxBacklog`` of it unread is closed with 1013.
  public func leave() {
    onLoop { if state == .open { leaveLog() } }
  }

  /// Begins the closing handshake (RFC 6455, section 7.1.2), once what was sent before has been written. No message is
  /// received any more. A peer that has not taken part after ``Configuration/closeTimeout`` is cut off.
  ///
  /// - Parameters:
  ///   - code: must be one that may be sent, see ``CloseCode/isSendable``.
  ///   - reason: cut to 123 bytes, the most that a close frame holds, at a character's boundary.
  public func close(_ code: CloseCode = .normal, reason: String = "") {
    precondition(code.isSendable, "close code \(code) must not be sent (RFC 6455, section 7.4)")
    onLoop { beginClose(code, reason: reason, discardingBacklog: false, patience: loop.configuration.closeTimeout) }
  }

  private func onLoop<Result>(_ body: () -> Result) -> Result {
    loop.preconditionCurrent()
    return body()
  }
}

/// How a connection is ending.
final class Ending {
  enum Side { case peer, server }
  /// Who began.
  let side: Side
  let close: Close
  /// The position in the log that it has joined which our close frame comes behind.
  var position = Int.max
  /// How long the peer gets to answer our close frame.
  let patience: Duration
  /// Whether our close frame is out, or in the hands of lws.
  var isFrameSent = false
  /// Whether it is to be sent in the next LWS_CALLBACK_TIMER.
  var isFrameDue = false

  init(side: Side, close: Close, patience: Duration, isFrameSent: Bool = false) {
    (self.side, self.close, self.patience, self.isFrameSent) = (side, close, patience, isFrameSent)
  }
}

extension String {
  /// The longest beginning of whole characters with at most `count` bytes of UTF-8.
  func prefix(utf8Count count: Int) -> Substring {
    guard utf8.count > count else { return self[...] }
    var end = startIndex
    var next = end
    while next < endIndex, utf8.distance(from: startIndex, to: index(after: next)) <= count {
      next = index(after: next)
      end = next
    }
    return self[..<end]
  }
}
