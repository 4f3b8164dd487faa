internal import CLibwebsockets

extension Connection {
  /// How long a peer that broke the protocol gets for its side of the closing handshake.
  static let failureTimeout = Duration.milliseconds(300)

  /// Handles LWS_CALLBACK_SERVER_WRITEABLE: continues to write. When everything is written and the connection is
  /// closing, the close frame comes next.
  ///
  /// LWS_CALLBACK_TIMER sends the close frame. If this callback returned -1, lws would close the connection twice in a
  /// row on libuv when built for debugging, as Debian's 4.1.6 is. The second call would drop the connection before the
  /// close frame is sent (lib/core-net/service.c, "close_and_handled uv repeat test").
  func becameWritable() {
    isWritableRequested = false
    pongWasSent()
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
    loop.stopReading(self)
    return true
  }

  /// Closes the connection because of what the peer has sent. Returns false to end it with the close frame at once.
  func fail(_ refusal: Refusal, _ code: CloseCode, _ reason: String) -> Bool {
    note(refusal, reason)
    writeLastWords()
    beginClose(code, reason: reason, discardingBacklog: true, patience: Connection.failureTimeout)
    return !sendCloseFrame()
  }

  /// Handles LWS_CALLBACK_WS_PEER_INITIATED_CLOSE: answers with the same close frame, and returns false, which ends the
  /// connection. If the socket is blocked, returns true: lws then answers itself, in a later turn.
  func peerCloses(_ payload: UnsafeRawBufferPointer) -> Bool {
    if state == .connecting { return receivedTooEarly() }
    let payload = unsafe [UInt8](payload)
    let code =
      payload.count < 2 ? CloseCode.noStatus : CloseCode(rawValue: UInt16(payload[0]) << 8 | UInt16(payload[1]))
    let reason = String(validating: payload.dropFirst(2), as: UTF8.self)
    // lws lets these through: it knows only codes below 3000 (lib/roles/ws/ops-ws.c, lws_ws_rx_sm).
    if payload.count == 1 || code.rawValue >= 5000 { return fail(.protocolError, .protocolError, "bad close code") }
    guard let reason else { return fail(.notUtf8, .invalidPayload, "close reason that is not UTF-8") }
    writeLastWords()
    state = .closing
    ending = Ending(
      side: .peer, close: Close(code: code, reason: reason, isClean: true), patience: .zero, isFrameSent: true)
    discardBacklog()
    guard let socket, !socket.isBlocked else { return true }
    // The payload of a control frame has at most 125 bytes.
    _ = socket.write([0x88, UInt8(payload.count)] + payload)
    return false
  }

  /// Handles LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL: lws begins to close, because a callback has asked for it, the peer
  /// has broken the protocol, or the socket has ended.
  func lwsCloses() {
    guard let socket, !(storedContext is Held) else { return }
    if ending == nil {
      let closeFrame = socket.closeFrame
      if closeFrame != nil { writeLastWords() }
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
    loop.requestArrived(socket)
    var close = ending?.close ?? Close(code: .abnormal, reason: "", isClean: false)
    // lws does not report whether the peer has answered. A peer that has answered waits for the server to end the TCP
    // connection.
    if let ending, ending.side == .server, ending.isFrameSent {
      close.isClean = !loop.isTearingDown && socket.isPeerOpen
    }
    state = .closed
    discardBacklog()
    forgetAssembly()
    socket.bind(nil)
    self.socket = nil
    loop.remove(self)
    if !wasNeverOpened() { loop.handler.closed(self, close) }
  }
}

extension Socket {
  /// The close frame that lws is about to send by itself.
  fileprivate var closeFrame: Close? {
    let length = Int(unsafe lws_get_close_length(wsi))
    guard length >= 2, let start = unsafe lws_get_close_payload(wsi) else { return nil }
    let payload = unsafe UnsafeBufferPointer(start: start, count: length)
    let code = unsafe UInt16(payload[0]) << 8 | UInt16(payload[1])
    return Close(
      code: CloseCode(rawValue: code), reason: unsafe String(decoding: payload.dropFirst(2), as: UTF8.self),
      isClean: false)
  }
}
