/// The message that a connection receives.
struct Receiving {
  /// The incomplete message, or the complete one that waits for delivery.
  fileprivate var assembly: Assembly?
  /// Whether lws may have overwritten the received bytes, see ``Connection/receive(_:_:)``.
  fileprivate var mayBeOverwritten = true
}

extension Connection {
  /// Takes a piece of a message, joins it with the earlier ones, and delivers a whole message to the handler. Returns
  /// false to end the connection with the close frame that has been set.
  func receive(_ piece: Span<UInt8>, _ socket: Socket) -> Bool {
    guard state == .open else { return state == .connecting ? receivedTooEarly() : true }
    // Over TLS, a message that arrives in one piece with the handshake has been overwritten: lws makes its response in
    // the buffer that it reads to. A client must wait for the response (RFC 6455, section 4.1).
    if receiving.mayBeOverwritten {
      return fail(.protocolError, .protocolError, "a message before the handshake was answered")
    }
    let isFinal = socket.isFinalFragment
    let kind = socket.isBinary ? Message.Kind.binary : .text
    loop.turn.noteRead(of: piece.count)
    noteActivity()
    if let meter {
      let endsFragment = (!isFinal || receiving.assembly != nil) && socket.remainingPayload == 0
      let rate = meter.takePiece(
        of: piece.count, endsFragment: endsFragment, endsMessage: isFinal, now: loop.now)
      if let rate { slowDown(rate) }
    }
    do throws(AssemblyError) {
      // The message was deferred, and more data has arrived nevertheless.
      if let whole = receiving.assembly, whole.isWhole { try finish(whole) }
      let isCompressed = compression != nil && socket.isCompressed
      if isFinal && receiving.assembly == nil && !isCompressed && !loop.work.isOverworked(by: self) {
        try loop.working(for: self) { () throws(AssemblyError) in
          let message = Message(kind, piece)
          try Assembly.check(message, limits: loop.limits)
          deliver(message)
        }
        return true
      }
      let whole = receiving.assembly ?? Assembly(kind, isCompressed: isCompressed)
      guard !isCompressed || whole.isInFirstFrame else { throw .reservedBit }
      guard loop.unfinishedBytes + piece.count <= loop.limits.maxUnfinished else { throw .tooManyUnfinished }
      receiving.assembly = whole
      try whole.add(piece, remaining: socket.remainingPayload, isFinal: isFinal, limits: loop.limits)
      loop.unfinishedBytes += piece.count
      if isFinal {
        if loop.work.isOverworked(by: self) {
          whole.isWhole = true
          loop.reads.pause(self)
        } else {
          try finish(whole)
        }
      }
      return true
    } catch {
      let failure = failure(error)
      return fail(failure.rejection, failure.code, failure.reason)
    }
  }

  /// Delivers a message whose pieces have all arrived.
  private func finish(_ whole: Assembly) throws(AssemblyError) {
    forgetAssembly()
    try loop.working(for: self) { () throws(AssemblyError) in
      let bytes = whole.isCompressed ? try inflate(whole) : whole.bytes
      deliver(Message(whole.kind, bytes.span))
    }
  }

  /// Delivers a deferred message, if there is one. Returns false if the connection must not be read yet.
  func deliverDeferred() -> Bool {
    guard let whole = receiving.assembly, whole.isWhole else { return true }
    if loop.work.isOverworked(by: self) { return false }
    do throws(AssemblyError) {
      try finish(whole)
    } catch {
      let failure = failure(error)
      note(failure.rejection, failure.reason)
      beginClose(
        failure.code, reason: failure.reason, discardingBacklog: false, patience: Connection.failureTimeout)
    }
    return true
  }

  /// Forgets a message that is whole, or will not be completed.
  func forgetAssembly() {
    loop.unfinishedBytes -= receiving.assembly?.bytes.count ?? 0
    receiving.assembly = nil
  }

  /// Returns the inflated message. All of its bytes count for the peer's rate.
  private func inflate(_ whole: Assembly) throws(AssemblyError) -> [UInt8] {
    let bytes: [UInt8]
    do throws(InflateError) {
      bytes = try loop.inflater.inflate(whole.bytes, limit: loop.limits.maxMessageSize)
    } catch {
      throw error == .tooBig ? .tooBig : .notDeflate
    }
    try Assembly.check(Message(whole.kind, bytes.span), limits: loop.limits)
    let more = bytes.count - whole.bytes.count
    if more > 0, let meter, let rate = meter.takePiece(of: more, endsMessage: false, now: loop.now) { slowDown(rate) }
    return bytes
  }

  private func deliver(_ message: Message) {
    loop.counters.messages += 1
    loop.counters.receivedBytes += message.bytes.count
    let (payer, ends) = (loop.work.payer, memberships.endsOfSeveral)
    if ends.isEmpty { memberships.first?.fanout.addOwner(payer, message.bytes.count) }
    loop.work.payload = message.bytes.count
    loop.handler.received(message, from: self)
    for (fanout, end) in ends where fanout.form.end > end { fanout.addOwner(payer, message.bytes.count) }
    if memberships.arePressed || isFarBehind { loop.reads.pause(self) }
  }

  /// Notes that the server has handed lws the handshake with a copy of the bytes that followed, which stays intact.
  func hasIntactInput() { receiving.mayBeOverwritten = false }

  /// Called before the poll after the handshake has arrived. A client whose authorization is pending is not read.
  func handshakeWasRead() {
    receiving.mayBeOverwritten = false
    if state == .connecting { loop.reads.stop(self) }
  }

  private func slowDown(_ rate: RejectionReason) {
    noteSlowed(rate)
    loop.reads.pause(self)
  }

  func noteSlowed(_ rate: RejectionReason) {
    if !reading.isPaused { note(rate, "over its rate limit: read more slowly") }
  }

  private func failure(_ error: AssemblyError) -> (rejection: RejectionReason, code: CloseCode, reason: String) {
    let limits = loop.limits
    return switch error {
    case .tooBig: (.messageTooBig, .messageTooBig, "more than \(limits.maxMessageSize) bytes")
    case .tooManyFragments: (.tooManyFragments, .policyViolation, "more than \(limits.maxFragments) fragments")
    case .notUtf8: (.notUtf8, .invalidPayload, "text that is not UTF-8")
    case .notDeflate: (.notDeflate, .invalidPayload, "a compressed message that is not DEFLATE")
    case .tooManyUnfinished: (.tooManyUnfinished, .tryAgainLater, "too many unfinished messages")
    case .reservedBit: (.protocolError, .protocolError, "RSV1 within a message")
    }
  }
}
