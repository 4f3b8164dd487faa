/// The output of one connection alone: messages for its client, and logs in which it lags.
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
  /// Position in the only log at which the connection stops reading.
  var end: Int { ending?.position ?? .max }

  /// Bytes that the client has not been sent, see ``bufferedAmount``.
  var backlog: Int {
    var sum = writing.outbox?.count ?? 0
    sum += memberships.unread(upTo: end)
    if let socket, socket.isBlocked { sum += Segment.limit }
    return sum
  }

  /// Whether the backlog exceeds half of the limit for eviction. Then the server does not read from the client.
  var isFarBehind: Bool {
    if writing.outbox == nil && !memberships.areApart { return false }
    return backlog > loop.backlogLimit / 2
  }

  /// Evicts the client if the messages for it alone exceed the limit.
  func evictIfFarBehind() {
    if state == .open, let outbox = writing.outbox, outbox.count > loop.backlogLimit { evict() }
  }

  func queue(_ message: Message) -> SendResult {
    guard state == .open else { return .dropped }
    // One message alone does not evict a client, however large it is.
    let isTooMuch = writing.outbox.map { $0.count + message.bytes.count > loop.backlogLimit } ?? false
    if isTooMuch || !mayCopyUnread {
      evict()
      return .dropped
    }
    let mark = markEnd()
    let outbox = writing.outbox ?? Outbox()
    writing.outbox = outbox
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

  /// Discards everything that is not written yet.
  func discardBacklog() {
    while let fanout = memberships.first?.fanout { fanout.remove(self) }
    loop.counters.outboxBytes -= writing.outbox?.count ?? 0
    writing.outbox = nil
    writing.owesDrained = false
  }

  // MARK: The logs and the outbox
  //
  // A connection with one log reads it up to each message's mark in the outbox. Marks in several logs would take memory
  // for each message and log. So the outbox of a connection with several logs has no marks: the unread bytes of the
  // logs are copied to the outbox before a message, and the logs are not read until the outbox has been sent.
  //
  // A connection with several logs has its own cursor in each of them while it has an outbox, or while one message is
  // partly sent. So no group writes to it then.

  /// Makes the connection a reader of another log. Returns false at the limit.
  func joinLog(_ log: BroadcastLog) -> Bool {
    guard memberships.count < loop.configuration.maxRoomsPerConnection else { return false }
    if let first = memberships.first?.fanout {
      if !memberships.areSeveral {
        removeMarks(in: first)
        if let unfinished = memberships.unfinished { copyUnread(of: unfinished) }
      }
      first.isSharedWithOthers = true
    }
    let fanout = loop.fanouts.find(log, compression, on: loop)
    fanout.add(self)
    if memberships.areSeveral { fanout.isSharedWithOthers = true }
    return true
  }

  /// Leaves a log. Messages that were appended before are still sent, in order with the connection's own.
  func leaveLog(_ fanout: Fanout) {
    guard backlog <= loop.backlogLimit + Segment.limit else { return evict() }
    if memberships.areSeveral { copyUnfinished() } else { removeMarks(in: fanout) }
    copyUnread(of: fanout)
    if writing.outbox != nil {
      forEachFanout { $0.setApart(self) }
      loop.turn.schedule(self)
    }
    fanout.remove(self)
  }

  /// Whether ``Configuration/maxTotalBacklog`` allows copying the unread bytes of several logs.
  var mayCopyUnread: Bool { !memberships.areSeveral || memberships.unread(upTo: end) <= loop.backlogMemory }

  /// Makes the bytes that were appended to the logs precede the next message in the outbox. Returns the message's mark.
  private func markEnd() -> Int {
    guard memberships.areSeveral else { return setApartAtEnd() ?? 0 }
    copyUnfinished()
    forEachFanout { copyUnread(of: $0) }
    loop.countOutboxes()
    return 0
  }

  /// Copies the rest of a partly sent message to the outbox, so that it is sent first.
  private func copyUnfinished() {
    if writing.outbox == nil, let unfinished = memberships.unfinished { copyUnread(of: unfinished) }
  }

  /// Gives the connection its own cursor in a log, because its socket is full. The next bytes must continue this log,
  /// so the connection gets its own cursor in all logs.
  func setApart(in fanout: Fanout) {
    if memberships.areSeveral { forEachFanout { $0.setApart(self) } } else { fanout.setApart(self) }
  }

  /// Calls `body`, which joins and leaves no log, for each joined log.
  private func forEachFanout(_ body: (Fanout) -> Void) {
    var index = 0
    while let fanout = memberships[index]?.fanout {
      body(fanout)
      index += 1
    }
  }

  /// Gives the connection its own cursor in a log, and copies the log's unread bytes to the outbox, which has no marks.
  private func copyUnread(of fanout: Fanout) {
    fanout.setApart(self)
    let outbox = writing.outbox ?? Outbox()
    let before = outbox.count
    let end = fanout.form.end
    while let slice = memberships[fanout]?.read(upTo: end) {
      outbox.append(slice, after: 0)
      memberships.advance(in: fanout, by: slice.count)
    }
    loop.counters.outboxBytes += outbox.count - before
    writing.outbox = outbox.count > 0 ? outbox : nil
  }

  /// Removes the marks in the only log, by copying the unread bytes before them to the outbox.
  private func removeMarks(in fanout: Fanout) {
    guard writing.outbox != nil else { return }
    let rest = Outbox()
    while writing.outbox != nil, let (slice, source) = nextSlice(.log) {
      rest.append(slice, after: 0)
      advance(source, by: slice.count)
    }
    writing.outbox = rest
    loop.counters.outboxBytes += rest.count
  }

  /// Gives the connection its own cursor in its only log. Returns the end of the log; nil if none is joined.
  private func setApartAtEnd() -> Int? {
    guard let fanout = memberships.first?.fanout else { return nil }
    fanout.setApart(self)
    return fanout.form.end
  }

  /// Ends reading at the current ends of the logs. Returns the end of the only log; the maximum for no log or several.
  func endOfLogs() -> Int {
    guard memberships.areSeveral else { return setApartAtEnd() ?? .max }
    _ = markEnd()
    while let fanout = memberships.first?.fanout { fanout.remove(self) }
    return .max
  }

  private enum Source { case log(Fanout), outbox }

  /// Limit up to which a log is read.
  enum Extent {
    /// Up to the position of the fan-out's group.
    case group
    /// Up to the end of the log.
    case log

    func limit(_ fanout: Fanout) -> Int {
      switch self {
      case .group: fanout.position
      case .log: fanout.form.end
      }
    }
  }

  /// Returns the next bytes to write: from the log, or from the outbox once the log has been read up to its mark.
  private func nextSlice(_ extent: Extent) -> (Slice, Source)? {
    if memberships.areSeveral {
      if let outbox = writing.outbox { return outbox.read().map { ($0, .outbox) } }
      return memberships.readNext(extent).map { ($0, .log($1)) }
    }
    let mark = writing.outbox?.nextMark ?? .max
    if let membership = memberships.first {
      let limit = extent.limit(membership.fanout)
      if let slice = membership.read(upTo: min(limit, end, mark)) { return (slice, .log(membership.fanout)) }
      if mark > limit { return nil }
    }
    return writing.outbox?.read().map { ($0, .outbox) }
  }

  private func advance(_ source: Source, by count: Int) {
    switch source {
    case .log(let fanout): memberships.advance(in: fanout, by: count)
    case .outbox:
      writing.outbox?.advance(by: count)
      loop.counters.outboxBytes -= count
      if writing.outbox?.count == 0 { writing.outbox = nil }
    }
  }

  // MARK: Writing

  /// Writes the scheduled backlog, at the end of the turn.
  func writeScheduled() {
    writing.unschedule()
    if writeBacklog(), state == .closing { requestWritable() }
  }

  /// Writes as much as possible now. Returns whether nothing is left. Called when the turn has ended, or when the
  /// socket is writable. The time counts for the client's address.
  func writeBacklog() -> Bool { loop.working(for: self) { writeNext() } }

  private func writeNext() -> Bool {
    guard let socket, ending?.isFrameSent != true, state != .closed else { return false }
    var writes = 0
    while !socket.isBlocked && writes < Connection.writesAtOnce {
      guard let (slice, source) = nextSlice(.group) else { return caughtUp() }
      guard socket.write(slice.span) == .taken else {
        drop()
        return false
      }
      advance(source, by: slice.count)
      loop.counters.sentBytes += slice.count
      writes += 1
    }
    if memberships.areSeveral { forEachFanout { $0.setApart(self) } }
    requestWritable()
    return false
  }

  /// Writes the messages queued in this turn, as far as the socket takes them, before the connection ends because of
  /// the peer's close frame or error. After the server's close frame, nothing may be written.
  func writeBeforeClose() {
    guard let socket, state == .open else { return }
    forEachFanout { $0.setApart(self) }
    while !socket.isBlocked, let (slice, source) = nextSlice(.log), socket.write(slice.span) == .taken {
      advance(source, by: slice.count)
    }
  }

  /// Maximum number of segments written before other connections have their turn.
  private static let writesAtOnce = 16

  /// Called when nothing can be written now. Returns whether everything that was sent to the client has been written.
  private func caughtUp() -> Bool {
    forEachFanout { $0.resume(self) }
    if reading.isPaused { loop.reads.checkPaused() }
    guard isCaughtUp else { return false }
    if writing.owesDrained && state == .open {
      writing.owesDrained = false
      loop.handler.drained(self)
      // The handler may have sent more.
      guard isCaughtUp else { return false }
    }
    // Only the closing handshake follows. The log may grow by any number of bytes until the peer answers.
    if state == .closing { discardBacklog() }
    return true
  }

  private var isCaughtUp: Bool {
    if writing.outbox != nil { return false }
    return end == .max || memberships.first?.ownPosition ?? end >= end
  }
}
