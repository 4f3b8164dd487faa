/// The output of one connection alone: messages for its client, and a log in which it lags.
struct Writing {
  /// Messages for this client alone.
  fileprivate(set) var outbox: Outbox?
  /// Whether the loop visits this connection when the turn ends.
  private var isScheduled = false
  /// Whether ``Handler/drained(_:)`` is to be called.
  fileprivate var owesDrained = false

  /// Returns false if the connection is scheduled already.
  mutating func schedule() -> Bool {
    if isScheduled { return false }
    isScheduled = true
    return true
  }

  /// Ends ``schedule()``.
  mutating func unschedule() { isScheduled = false }
}

extension Connection {
  /// Position in the log at which the connection stops reading.
  var end: Int { ending?.position ?? .max }

  /// Bytes that the client has not been sent, see ``bufferedAmount``.
  var backlog: Int {
    var sum = writing.outbox?.count ?? 0
    sum += membership.unread(upTo: end)
    if let socket, socket.isBlocked { sum += Segment.limit }
    return sum
  }

  /// Whether so much is unread that the client is not read until it has caught up: half of the limit for eviction.
  var isFarBehind: Bool {
    if writing.outbox == nil && !membership.isApart { return false }
    return backlog > loop.backlogLimit / 2
  }

  /// Evicts the client if the messages for it alone exceed the limit.
  func evictIfFarBehind() {
    if state == .open, let outbox = writing.outbox, outbox.count > loop.backlogLimit { evict() }
  }

  func queue(_ message: Message) -> SendResult {
    guard state == .open else { return .dropped }
    // One message alone does not evict a client, however large it is.
    if let outbox = writing.outbox, outbox.count + message.bytes.count > loop.backlogLimit {
      evict()
      return .dropped
    }
    let outbox = writing.outbox ?? Outbox()
    writing.outbox = outbox
    let mark = setApartAtEnd() ?? 0
    let before = outbox.count
    if let compression, let deflated = message.deflated(compression) {
      outbox.append(Message(message.kind, compressed: deflated.span), after: mark)
    } else {
      outbox.append(message, after: mark)
    }
    loop.counters.outboxBytes += outbox.count - before
    loop.counters.deliveries += 1
    loop.turn.schedule(self)
    guard backlog > loop.configuration.backlogMark else { return .queued }
    writing.owesDrained = true
    return .backlogged
  }

  /// Leaves the log. Messages that were appended before are still sent, in order with the connection's own.
  func leaveLog() {
    guard let fanout = membership.fanout else { return }
    guard backlog <= loop.backlogLimit + Segment.limit else { return evict() }
    fanout.setApart(self)
    let rest = Outbox()
    while let (slice, source) = nextSlice(upTo: fanout.form.end) {
      rest.append(slice, after: 0)
      advance(source, by: slice.count)
    }
    writing.outbox = rest.count > 0 ? rest : nil
    loop.counters.outboxBytes += rest.count
    fanout.remove(self)
    if writing.outbox != nil { loop.turn.schedule(self) }
  }

  /// Discards everything that is not written yet.
  func discardBacklog() {
    membership.fanout?.remove(self)
    loop.counters.outboxBytes -= writing.outbox?.count ?? 0
    writing.outbox = nil
    writing.owesDrained = false
  }

  /// Gives a member of a log its own cursor. Returns the end of the log; nil if none is joined.
  func setApartAtEnd() -> Int? {
    membership.fanout?.setApart(self)
    return membership.fanout?.form.end
  }

  private enum Source { case log, outbox }

  /// Returns the next bytes to write: from the log up to `limit`, or from the outbox once the log has been read up to
  /// its mark.
  private func nextSlice(upTo limit: Int) -> (Slice, Source)? {
    let mark = writing.outbox?.nextMark ?? .max
    if let slice = membership.read(upTo: min(limit, end, mark)) { return (slice, .log) }
    if mark > limit { return nil }
    return writing.outbox?.read().map { ($0, .outbox) }
  }

  private func advance(_ source: Source, by count: Int) {
    switch source {
    case .log: advanceInLog(by: count)
    case .outbox:
      writing.outbox?.advance(by: count)
      loop.counters.outboxBytes -= count
      if writing.outbox?.count == 0 { writing.outbox = nil }
    }
  }

  /// Writes what was scheduled, at the end of the turn.
  func writeScheduled() {
    writing.unschedule()
    if writeBacklog(), state == .closing { requestWritable() }
  }

  /// Writes what can be written now, and returns whether nothing is left. Called when the turn has ended, or when the
  /// socket is writable. The time counts for the client's address.
  func writeBacklog() -> Bool { loop.working(for: self) { writeNext() } }

  private func writeNext() -> Bool {
    guard let socket, ending?.isFrameSent != true, state != .closed else { return false }
    let limit = membership.fanout?.position ?? 0
    var writes = 0
    while !socket.isBlocked && writes < Connection.writesAtOnce {
      guard let (slice, source) = nextSlice(upTo: limit) else { return caughtUp() }
      guard socket.write(slice.span) == .taken else {
        drop()
        return false
      }
      advance(source, by: slice.count)
      loop.counters.sentBytes += slice.count
      writes += 1
    }
    requestWritable()
    return false
  }

  /// Writes what the turn has queued, as far as the socket takes it, before the connection ends because of the peer's
  /// close frame or error. A close frame is sent after it, and nothing may be written from then on.
  func writeBeforeClose() {
    guard let socket, state == .open else { return }
    let end = setApartAtEnd() ?? 0
    while !socket.isBlocked, let (slice, source) = nextSlice(upTo: end), socket.write(slice.span) == .taken {
      advance(source, by: slice.count)
    }
  }

  /// Maximum number of segments written before other connections have their turn.
  private static let writesAtOnce = 16

  /// Called when nothing can be written now. Returns whether everything that was sent to the client has been written.
  private func caughtUp() -> Bool {
    membership.fanout?.resume(self)
    if reading.isPaused { loop.reads.checkPaused() }
    guard isCaughtUp else { return false }
    guard writing.owesDrained && state == .open else { return true }
    writing.owesDrained = false
    loop.handler.drained(self)
    // The handler may have sent more.
    return isCaughtUp
  }

  private var isCaughtUp: Bool {
    if writing.outbox != nil { return false }
    return end == .max || !membership.isApart(before: end)
  }
}
