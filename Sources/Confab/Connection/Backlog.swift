/// A connection's position relative to the log that it has joined.
enum Place {
  /// It has not joined a log.
  case none
  /// It shares the cursor of its ``Fanout``'s group.
  case group
  /// It has a cursor of its own.
  case apart(Cursor)
}

/// Messages for one connection alone. Each follows everything that was in the connection's log when it was queued.
final class Outbox {
  private var queue = SegmentQueue()
  private var position = 0
  /// The bytes up to `end` are sent once the log has been read up to `after`.
  private var marks: ArraySlice<(after: Int, end: Int)> = []

  init() { queue.enter(at: 0) }

  /// Bytes that are not sent yet.
  var count: Int { queue.end - position }

  func append(_ message: Message, after: Int) {
    queue.append(message)
    mark(after)
  }

  func append(_ frames: Slice, after: Int) {
    queue.append(frames)
    mark(after)
  }

  private func mark(_ after: Int) {
    if let last = marks.indices.last, marks[last].after == after {
      marks[last].end = queue.end
    } else {
      marks.append((after, queue.end))
    }
  }

  /// Position that the log must be read up to before the next bytes are sent.
  var nextMark: Int? { marks.first?.after }

  func read() -> Slice? {
    marks.first.flatMap { queue.read(at: position, upTo: $0.end) }
  }

  func advance(by count: Int) {
    queue.move(from: position, to: position + count)
    position += count
    if let first = marks.first, first.end == position { _ = marks.popFirst() }
  }
}

extension Connection {
  /// Position in the log at which the connection stops reading.
  var end: Int { ending?.position ?? .max }

  var backlog: Int {
    var sum = outbox?.count ?? 0
    switch place {
    case .none: break
    case .group: if let fanout { sum += fanout.log.end - fanout.position }
    case .apart(let cursor): if let fanout { sum += min(fanout.log.end, end) - cursor.position }
    }
    if let socket, socket.isBlocked { sum += Segment.limit }
    return sum
  }

  /// Whether so much is unread that the client is not read until it has caught up: half of the limit for eviction.
  var isFarBehind: Bool {
    if outbox == nil { guard case .apart = place else { return false } }
    return backlog > loop.backlogLimit / 2
  }

  /// Evicts the client if the messages for it alone exceed the limit.
  func evictIfFarBehind() {
    if state == .open, let outbox, outbox.count > loop.backlogLimit { evict() }
  }

  func queue(_ message: Message) -> SendResult {
    guard state == .open else { return .dropped }
    // One message alone does not evict a client, however large it is.
    if let outbox, outbox.count + message.bytes.count > loop.backlogLimit {
      evict()
      return .dropped
    }
    fanout?.setApart(self)
    let outbox = self.outbox ?? Outbox()
    self.outbox = outbox
    let mark = fanout?.log.end ?? 0
    let before = outbox.count
    if let compression, let deflated = message.deflated(compression) {
      outbox.append(Message(message.kind, compressed: deflated.span), after: mark)
    } else {
      outbox.append(message, after: mark)
    }
    loop.counters.outboxBytes += outbox.count - before
    loop.counters.deliveries += 1
    loop.schedule(self)
    guard backlog > loop.configuration.backlogMark else { return .queued }
    owesDrained = true
    return .backlogged
  }

  /// Leaves the log. Messages that were appended before are still sent, in order with the connection's own.
  func leaveLog() {
    guard let fanout else { return }
    guard backlog <= loop.backlogLimit + Segment.limit else { return evict() }
    fanout.setApart(self)
    let rest = Outbox()
    while let (slice, source) = nextSlice(upTo: fanout.log.end) {
      rest.append(slice, after: 0)
      advance(source, by: slice.count)
    }
    outbox = rest.count > 0 ? rest : nil
    loop.counters.outboxBytes += rest.count
    fanout.remove(self)
    if outbox != nil { loop.schedule(self) }
  }

  private enum Source { case log, outbox }

  /// Returns the next bytes to write: from the log up to `limit`, or from the outbox once the log has been read up to
  /// its mark.
  private func nextSlice(upTo limit: Int) -> (Slice, Source)? {
    let mark = outbox?.nextMark ?? .max
    if let fanout, case .apart(let cursor) = place, cursor.position < mark,
      let slice = fanout.log.read(cursor, upTo: min(limit, end, mark))
    {
      return (slice, .log)
    }
    if mark > limit { return nil }
    return outbox?.read().map { ($0, .outbox) }
  }

  private func advance(_ source: Source, by count: Int) {
    switch source {
    case .log:
      guard let fanout, case .apart(var cursor) = place else { return }
      fanout.log.advance(&cursor, by: count)
      place = .apart(cursor)
    case .outbox:
      outbox?.advance(by: count)
      loop.counters.outboxBytes -= count
      if outbox?.count == 0 { outbox = nil }
    }
  }

  /// Writes what can be written now, and returns whether nothing is left. Called when the turn has ended, or when the
  /// socket is writable.
  func writeBacklog() -> Bool { outbox == nil ? writeNext() : loop.working(for: self) { writeNext() } }

  private func writeNext() -> Bool {
    guard let socket, ending?.isFrameSent != true, state != .closed else { return false }
    let limit = fanout?.position ?? 0
    var writes = 0
    while !socket.isBlocked && writes < Connection.writesAtOnce {
      guard let (slice, source) = nextSlice(upTo: limit) else { return caughtUp() }
      guard socket.write(slice) == .taken else {
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
  func writeLastWords() {
    guard let socket, state == .open else { return }
    fanout?.setApart(self)
    while !socket.isBlocked, let (slice, source) = nextSlice(upTo: fanout?.log.end ?? 0), socket.write(slice) == .taken
    {
      advance(source, by: slice.count)
    }
  }

  /// Maximum number of segments written before other connections have their turn.
  private static let writesAtOnce = 16

  /// Called when nothing can be written now. Returns whether everything that was sent to the client has been written.
  private func caughtUp() -> Bool {
    fanout?.resume(self)
    if isPaused { loop.isResumeDue = true }
    guard isCaughtUp else { return false }
    guard owesDrained && state == .open else { return true }
    owesDrained = false
    loop.handler.drained(self)
    // The handler may have sent more.
    return isCaughtUp
  }

  private var isCaughtUp: Bool {
    if outbox != nil { return false }
    if case .apart(let cursor) = place, end < .max, cursor.position < end { return false }
    return true
  }

  // MARK: Closing

  /// Begins the closing handshake. The close frame is sent after the backlog, or at once if the backlog is discarded.
  func beginClose(_ code: CloseCode, reason: String, discardingBacklog: Bool, patience: Duration) {
    guard state == .open, let socket else { return }
    state = .closing
    let reason = String(reason.prefix(utf8Count: 123))
    ending = Ending(
      side: .server, close: Close(code: code, reason: reason, isClean: false), patience: patience)
    forgetAssembly()
    // Reading goes on, because the peer's close frame is still to come.
    letGo()
    if discardingBacklog {
      discardBacklog()
    } else if let fanout {
      fanout.setApart(self)
      ending?.position = fanout.log.end
    }
    socket.setTimer(patience)
    socket.wakeLws()
    loop.schedule(self)
  }

  /// Closes the connection with 1013, because the client has too much unread. Drops it if it is closing already.
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
    // A socket that is not read is not polled, and its end would not be noticed.
    isHeldBack = false
    if isPaused { goOnReading() }
    socket?.abort()
  }

  func discardBacklog() {
    fanout?.remove(self)
    loop.counters.outboxBytes -= outbox?.count ?? 0
    outbox = nil
    owesDrained = false
  }
}
