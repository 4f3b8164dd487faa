/// Where a connection stands with the log that it has joined.
enum Place {
  /// It has joined none.
  case none
  /// It shares the cursor of its ``Fanout``'s group.
  case group
  /// It has a cursor of its own.
  case apart(Cursor)
}

/// Messages for one connection alone, each behind what had been appended to its log before.
final class Outbox {
  private var queue = SegmentQueue()
  private var position = 0
  /// The bytes up to `end` go out once the log has been read up to `after`.
  private var marks: ArraySlice<(after: Int, end: Int)> = []

  init() { queue.enter(at: 0) }

  /// The bytes that wait.
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

  /// Where the log has to be read up to before the next bytes go out.
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
  /// The position in the log behind which it reads nothing.
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

  /// Whether it has so much unread that it should read before it sends more: half of what it is evicted for.
  var isFarBehind: Bool {
    if outbox == nil { guard case .apart = place else { return false } }
    return backlog > loop.backlogLimit / 2
  }

  /// Evicts the client if its own messages alone are more than the limit.
  func evictIfFarBehind() {
    if state == .open, let outbox, outbox.count > loop.backlogLimit { evict() }
  }

  func queue(_ message: Message) -> SendResult {
    guard state == .open else { return .dropped }
    // One message alone, however large, evicts no client.
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

  /// Leaves the log. What it has not been sent of it goes with its own messages, in the same order.
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

  /// What goes out next: of the log up to `limit`, or of the outbox where the log has been read up to its mark.
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

  /// Writes what can be written now, and tells whether nothing is left. The turn has ended, or the socket is writable.
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

  /// Writes what the turn has brought before the end, the peer's close frame or what it did wrong, as far as the socket
  /// takes it; a close frame goes out behind it. From then on nothing may be written.
  func writeLastWords() {
    guard let socket, state == .open else { return }
    fanout?.setApart(self)
    while !socket.isBlocked, let (slice, source) = nextSlice(upTo: fanout?.log.end ?? 0), socket.write(slice) == .taken
    {
      advance(source, by: slice.count)
    }
  }

  /// So many segments are written before others get their turn.
  private static let writesAtOnce = 16

  /// There is nothing to write now: whether all that was said has been written.
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

  /// Begins the closing handshake: the close frame goes out behind the backlog, or at once when that is discarded.
  func beginClose(_ code: CloseCode, reason: String, discardingBacklog: Bool, patience: Duration) {
    guard state == .open, let socket else { return }
    state = .closing
    let reason = String(reason.prefix(utf8Count: 123))
    ending = Ending(
      side: .server, close: Close(code: code, reason: reason, isClean: false), patience: patience)
    forgetAssembly()
    // The peer's close frame has to be read.
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

  /// The peer has not read what it was sent for too long. If it was closing already, it does not get the rest.
  func evict() {
    let reason = "more than \(loop.backlogLimit) bytes unread"
    note(.tooFarBehind, reason)
    if state == .closing { return drop() }
    beginClose(
      .tryAgainLater, reason: reason, discardingBacklog: true, patience: loop.configuration.closeTimeout)
  }

  /// The socket is broken: ends without a close frame. ``Handler/closed(_:_:)`` follows in a later turn.
  func drop() {
    state = .closing
    discardBacklog()
    // What is not read is not polled, and its end not seen.
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
