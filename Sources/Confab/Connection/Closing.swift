/// The state of a closing connection.
final class Ending {
  enum Side { case peer, server }
  /// The side that began to close.
  let side: Side
  let close: Close
  /// The position in the only joined log after which the close frame is sent.
  var position = Int.max
  /// Time for the peer to answer the close frame.
  let patience: Duration
  /// Whether the close frame has been sent, or handed to lws.
  var isFrameSent = false
  /// Whether the close frame is to be sent in the next LWS_CALLBACK_TIMER.
  var isFrameDue = false

  init(side: Side, close: Close, patience: Duration, isFrameSent: Bool = false) {
    (self.side, self.close, self.patience, self.isFrameSent) = (side, close, patience, isFrameSent)
  }
}

extension Connection {
  /// Time for the closing handshake with a peer that has violated the protocol.
  static let failureTimeout = Duration.milliseconds(300)

  /// Begins the closing handshake. The close frame is sent after the backlog, or at once if the backlog is discarded.
  func beginClose(_ code: CloseCode, reason: String, discardingBacklog: Bool, patience: Duration) {
    guard state == .open, let socket else { return }
    if !discardingBacklog && !mayCopyUnread { return evict() }
    state = .closing
    let reason = String(reason.prefix(utf8Count: 123))
    ending = Ending(
      side: .server, close: Close(code: code, reason: reason, isClean: false), patience: patience)
    forgetAssembly()
    // Reading goes on, because the peer's close frame is still to come.
    endHold()
    if discardingBacklog { discardBacklog() } else { ending?.position = endOfLogs() }
    socket.setTimer(patience)
    socket.wakeLws()
    loop.turn.schedule(self)
  }

  /// Closes the connection with 1013, because the client's backlog exceeds the limit. Drops it if it is closing
  /// already.
  func evict() {
    let reason = "more than \(loop.backlogLimit) bytes unread"
    note(.tooFarBehind, reason)
    if state == .closing { return drop() }
    beginClose(
      .tryAgainLater, reason: reason, discardingBacklog: true, patience: loop.configuration.closeTimeout)
  }

  /// Ends the connection without a close frame. ``Handler/closed(_:_:)`` follows in a later turn.
  func drop() {
    state = .closing
    discardBacklog()
    readUntilEnd()
    socket?.abort()
  }

  /// Handles LWS_CALLBACK_SERVER_WRITEABLE: continues to write. When everything is written and the connection is
  /// closing, the close frame comes next.
  ///
  /// LWS_CALLBACK_TIMER sends the close frame. If this callback returned -1, lws would close the connection twice in a
  /// row on libuv when built for debugging, as Debian's 4.1.6 is. The second call would drop the connection before the
  /// close frame is sent (lib/core-net/service.c, "close_and_handled uv repeat test").
  func becameWritable() {
    outputWasPossible()
    guard writeBacklog(), state == .closing, ending?.isFrameSent == false else { return }
    ending?.isFrameDue = true
    socket?.setTimer(.microseconds(1))
  }

  /// Returns whether lws may send the close frame now. If so, the running callback must return -1.
  func sendCloseFrame() -> Bool {
    guard let socket, let ending, ending.side == .server, !ending.isFrameSent, !socket.isBlocked else { return false }
    socket.setCloseFrame(ending.close)
    self.ending?.isFrameSent = true
    // lws keeps the close frame in the buffer of a received ping's payload (lib/roles/ws/ops-ws.c, ping_payload_buf).
    loop.reads.stop(self)
    return true
  }

  /// Closes the connection because of invalid data from the peer. Returns false to end it with the close frame at once.
  func fail(_ rejection: RejectionReason, _ code: CloseCode, _ reason: String) -> Bool {
    note(rejection, reason)
    writeBeforeClose()
    beginClose(code, reason: reason, discardingBacklog: true, patience: Connection.failureTimeout)
    return !sendCloseFrame()
  }

  /// Whether the server has sent its close frame first.
  var hasSentCloseFrame: Bool { ending.map { $0.side == .server && $0.isFrameSent } ?? false }

  /// Handles LWS_CALLBACK_WS_PEER_INITIATED_CLOSE: answers with the same close frame, and returns false, which ends the
  /// connection. If the socket is blocked, returns true: lws then answers itself, in a later turn.
  func peerCloses(_ payload: [UInt8]) -> Bool {
    if state == .connecting { return receivedTooEarly() }
    let code =
      payload.count < 2 ? CloseCode.noStatus : CloseCode(rawValue: UInt16(payload[0]) << 8 | UInt16(payload[1]))
    let reason = String(validating: payload.dropFirst(2), as: UTF8.self)
    // lws accepts these, because it checks only codes below 3000 (lib/roles/ws/ops-ws.c, lws_ws_rx_sm).
    if payload.count == 1 || code.rawValue >= 5000 { return fail(.protocolError, .protocolError, "bad close code") }
    guard let reason else { return fail(.notUtf8, .invalidPayload, "close reason that is not UTF-8") }
    writeBeforeClose()
    state = .closing
    ending = Ending(
      side: .peer, close: Close(code: code, reason: reason, isClean: true), patience: .zero, isFrameSent: true)
    discardBacklog()
    guard let socket, !socket.isBlocked else {
      // A client that does not read must not keep the connection.
      socket?.setTimer(loop.configuration.closeTimeout)
      return true
    }
    // The payload of a control frame has at most 125 bytes.
    _ = socket.write(([0x88, UInt8(payload.count)] + payload).span)
    return false
  }

  /// Handles LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL: lws begins to close, because a callback has asked for it, the peer
  /// has broken the protocol, or the socket has ended.
  func lwsCloses() {
    guard let socket, !isAuthorizationPending else { return }
    if ending == nil {
      let closeFrame = socket.closeFrame
      if closeFrame != nil { writeBeforeClose() }
      state = .closing
      discardBacklog()
      ending = closeFrame.map {
        Ending(side: .server, close: $0, patience: Connection.failureTimeout, isFrameSent: true)
      }
      if let ending { note(.protocolError, "libwebsockets closes with \(ending.close.code)") }
    }
    // lws itself would wait for 5 s.
    if let ending, ending.side == .server { socket.setTimer(ending.patience) }
  }

  /// Handles LWS_CALLBACK_TIMER: the close frame is due, or the closing handshake has taken too long. Returns false to
  /// end the connection.
  func timedOut() -> Bool {
    guard state == .closing else { return true }
    if let socket, let ending, ending.isFrameDue {
      self.ending?.isFrameDue = false
      if sendCloseFrame() { return false }
      // A pong that lws sends by itself has blocked the socket.
      socket.setTimer(ending.patience)
      requestWritable()
      return true
    }
    if ending?.side == .server { note(.closeTimeout, "has not closed in time") }
    socket?.abort()
    return false
  }

  /// Handles LWS_CALLBACK_CLOSED: the socket is about to be closed, and `struct lws` to be freed.
  func ended() {
    guard let socket else { return }
    loop.handshakes.end(socket)
    var close = ending?.close ?? Close(code: .abnormal, reason: "", isClean: false)
    // lws does not report whether the peer has answered. A peer that has answered waits for the server to end the TCP
    // connection.
    if let ending, ending.side == .server, ending.isFrameSent {
      close.isClean = !loop.stopping.isTearingDown && socket.isPeerOpen
    }
    state = .closed
    discardBacklog()
    forgetAssembly()
    socket.bind(nil)
    self.socket = nil
    loop.connections.remove(self)
    if !wasNeverOpened() { loop.handler.closed(self, close) }
  }
}
