internal import CLibwebsockets

extension Socket {
  /// Takes a piece of a message, see ``Connection/receive(_:_:)``.
  func received(_ piece: UnsafeRawBufferPointer) -> Bool {
    let bytes = unsafe Span<UInt8>(_unsafeBytes: piece)
    // The loop keeps the connection alive meanwhile. Counting a reference for each message would take longer than
    // everything else that is done to it here.
    return unsafe Unmanaged<Connection>.fromOpaque(lws_wsi_user(wsi))._withUnsafeGuaranteedRef {
      $0.receive(bytes, self)
    }
  }

  /// Stops reading, or resumes it with what has arrived meanwhile.
  func setReading(_ isOn: Bool) { unsafe _ = lws_rx_flow_control(wsi, isOn ? 1 : 0) }

  // Properties of the piece in LWS_CALLBACK_RECEIVE.
  var isFinalFragment: Bool { unsafe lws_is_final_fragment(wsi) != 0 }
  var isBinary: Bool { unsafe lws_frame_is_binary(wsi) != 0 }
  /// RSV1 of the piece's frame. The first frame of a compressed message has it.
  var isCompressed: Bool { unsafe lws_get_reserved_bits(wsi) & 0x40 != 0 }
  var remainingPayload: Int { unsafe lws_remaining_packet_payload(wsi) }
}

extension Connection {
  /// Takes a piece of a message, joins it with the earlier ones, and delivers a whole message to the handler. Returns
  /// false to end the connection with the close frame that has been set.
  func receive(_ piece: Span<UInt8>, _ socket: Socket) -> Bool {
    guard state == .open else { return state == .connecting ? receivedTooEarly() : true }
    // A message that arrives in one piece with the handshake has been overwritten: lws makes its response in the buffer
    // that it reads to. A client must wait for the response (RFC 6455, section 4.1).
    if isJustOpened { return fail(.protocolError, .protocolError, "a message before the handshake was answered") }
    let isFinal = socket.isFinalFragment
    let kind = socket.isBinary ? Message.Kind.binary : .text
    loop.noteRead(of: piece.count)
    heard()
    if let meter {
      let endsFragment = (!isFinal || assembly != nil) && socket.remainingPayload == 0
      let rate = meter.takePiece(
        of: piece.count, endsFragment: endsFragment, endsMessage: isFinal, now: loop.now)
      if let rate { slowDown(rate) }
    }
    do throws(Assembly.Refusal) {
      // The message was deferred, and more data has arrived nevertheless.
      if let whole = assembly, whole.isWhole { try finish(whole) }
      let isCompressed = compression != nil && socket.isCompressed
      if isFinal && assembly == nil && !isCompressed && !loop.isOverworked(by: self) {
        try loop.working(for: self) { () throws(Assembly.Refusal) in
          let message = Message(kind, piece)
          try Assembly.check(message, limits: loop.limits)
          deliver(message)
        }
        return true
      }
      let whole = assembly ?? Assembly(kind, isCompressed: isCompressed)
      guard !isCompressed || whole.isInFirstFrame else { throw .reservedBit }
      guard loop.unfinishedBytes + piece.count <= loop.limits.maxUnfinished else { throw .tooManyUnfinished }
      assembly = whole
      try whole.add(piece, remaining: socket.remainingPayload, isFinal: isFinal, limits: loop.limits)
      loop.unfinishedBytes += piece.count
      if isFinal {
        if loop.isOverworked(by: self) {
          whole.isWhole = true
          loop.pauseReading(self)
        } else {
          try finish(whole)
        }
      }
      return true
    } catch {
      let failure = failure(error)
      return fail(failure.refusal, failure.code, failure.reason)
    }
  }

  /// Delivers a message whose pieces have all arrived.
  private func finish(_ whole: Assembly) throws(Assembly.Refusal) {
    forgetAssembly()
    try loop.working(for: self) { () throws(Assembly.Refusal) in
      let bytes = whole.isCompressed ? try expand(whole) : whole.bytes
      deliver(Message(whole.kind, bytes.span))
    }
  }

  /// Delivers a deferred message, if there is one. Returns false if the connection must not be read yet.
  func finishPutOff() -> Bool {
    guard let whole = assembly, whole.isWhole else { return true }
    if loop.isOverworked(by: self) { return false }
    do throws(Assembly.Refusal) {
      try finish(whole)
    } catch {
      let failure = failure(error)
      note(failure.refusal, failure.reason)
      beginClose(
        failure.code, reason: failure.reason, discardingBacklog: false, patience: Connection.failureTimeout)
    }
    return true
  }

  /// Forgets a message that is whole, or will not be completed.
  func forgetAssembly() {
    loop.unfinishedBytes -= assembly?.bytes.count ?? 0
    assembly = nil
  }

  /// Returns the inflated message. All of its bytes count for the peer's rate.
  private func expand(_ whole: Assembly) throws(Assembly.Refusal) -> [UInt8] {
    let bytes = try loop.inflater.inflate(whole.bytes, limit: loop.limits.maxMessageSize)
    try Assembly.check(Message(whole.kind, bytes.span), limits: loop.limits)
    let more = bytes.count - whole.bytes.count
    if more > 0, let meter, let rate = meter.takePiece(of: more, endsMessage: false, now: loop.now) { slowDown(rate) }
    return bytes
  }

  private func deliver(_ message: Message) {
    loop.counters.messages += 1
    loop.counters.receivedBytes += message.bytes.count
    loop.handler.received(message, from: self)
    let isPressed = fanout?.log.isPressed ?? false
    if isPressed || isFarBehind { loop.pauseReading(self) }
  }

  private func slowDown(_ rate: Refusal) {
    noteSlowed(rate)
    loop.pauseReading(self)
  }

  func noteSlowed(_ rate: Refusal) {
    if !isPaused { note(rate, "over its rate limit: read more slowly") }
  }

  private func failure(_ refusal: Assembly.Refusal) -> (refusal: Refusal, code: CloseCode, reason: String) {
    let limits = loop.limits
    return switch refusal {
    case .tooBig: (.messageTooBig, .messageTooBig, "more than \(limits.maxMessageSize) bytes")
    case .tooManyFragments: (.tooManyFragments, .policyViolation, "more than \(limits.maxFragments) fragments")
    case .notUtf8: (.notUtf8, .invalidPayload, "text that is not UTF-8")
    case .notDeflate: (.notDeflate, .invalidPayload, "a compressed message that is not DEFLATE")
    case .tooManyUnfinished: (.tooManyUnfinished, .tryAgainLater, "too many unfinished messages")
    case .reservedBit: (.protocolError, .protocolError, "RSV1 within a message")
    }
  }
}
