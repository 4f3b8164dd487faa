/// A connection's membership in a log.
struct Membership {
  enum Standing {
    /// It shares the cursor of its fan-out's group.
    case group
    /// It has its own cursor.
    case apart(Cursor)
  }
  /// The fan-out of the joined log.
  let fanout: Fanout
  fileprivate(set) var standing: Standing
  /// The index among the fan-out's members with the same standing.
  fileprivate(set) var slot: Int32

  /// The position of the connection's own cursor; nil if it shares the group's cursor.
  var ownPosition: Int? { if case .apart(let cursor) = standing { cursor.position } else { nil } }

  /// Bytes of the log that the connection has not been sent, up to `end`.
  func unread(upTo end: Int) -> Int {
    switch standing {
    case .group: fanout.form.end - fanout.position
    case .apart(let cursor): max(0, min(fanout.form.end, end) - cursor.position)
    }
  }

  /// Whether the connection has been sent the beginning of a message, and not its end.
  var isInsideMessage: Bool {
    switch standing {
    case .group: fanout.isInsideMessage
    case .apart(let cursor): fanout.form.read(cursor)?.beginsInsideMessage ?? false
    }
  }

  /// Returns the next bytes for a connection with its own cursor, up to the position `limit`.
  func read(upTo limit: Int) -> Slice? {
    guard case .apart(let cursor) = standing else { return nil }
    return fanout.form.read(cursor, upTo: limit)
  }
}

/// The logs that a connection has joined. The first one is stored in place: a connection with one log needs no other
/// memory for it.
struct Memberships {
  /// The logs after the first one.
  private final class Others {
    var all: [Membership] = []
    /// The index of the log that is read next, so that each has its turn.
    var next = 0
  }
  private(set) var first: Membership?
  private var others: Others?

  /// Whether there is more than one log.
  var areSeveral: Bool { others != nil }

  var count: Int { first == nil ? 0 : 1 + (others?.all.count ?? 0) }

  subscript(index: Int) -> Membership? {
    if index == 0 { return first }
    guard let others, index <= others.all.count else { return nil }
    return others.all[index - 1]
  }

  /// The membership in the log of `fanout`.
  subscript(fanout: Fanout) -> Membership? {
    if first?.fanout === fanout { return first }
    return others?.all.first { $0.fanout === fanout }
  }

  /// Calls `body` with each membership, from the first one on.
  private func forEach(_ body: (Membership) -> Void) {
    if let first { body(first) }
    if let others { for membership in others.all { body(membership) } }
  }

  /// Returns whether any of the logs is `log`.
  func contains(_ log: BroadcastLog) -> Bool { fanout(of: log) != nil }

  func fanout(of log: BroadcastLog) -> Fanout? {
    if let first, first.fanout.form.log === log { return first.fanout }
    return others?.all.first { $0.fanout.form.log === log }?.fanout
  }

  var logs: [BroadcastLog] {
    var logs: [BroadcastLog] = []
    forEach { logs.append($0.fanout.form.log) }
    return logs
  }

  /// The ends of the logs if there are several. Comparing them with later ends shows the logs that a handler has
  /// appended to.
  var endsOfSeveral: [(Fanout, Int)] {
    guard areSeveral else { return [] }
    return (0..<count).compactMap { self[$0].map { ($0.fanout, $0.fanout.form.end) } }
  }

  /// Whether the connection has its own cursor in any of the logs.
  var areApart: Bool {
    if others == nil { return first?.ownPosition != nil }
    return (0..<count).contains { self[$0]?.ownPosition != nil }
  }

  /// Whether any of the logs is under pressure, see ``BroadcastLog/isPressed``.
  var arePressed: Bool {
    guard let first else { return false }
    if first.fanout.form.log.isPressed { return true }
    return others?.all.contains { $0.fanout.form.log.isPressed } ?? false
  }

  /// Bytes of all logs that the connection has not been sent, up to `end` in its only log.
  func unread(upTo end: Int) -> Int {
    var sum = 0
    forEach { sum += $0.unread(upTo: end) }
    return sum
  }

  /// Bytes by which the connection is behind the newest batch of each log, in total.
  var lag: Int {
    var sum = 0
    forEach { membership in
      if let position = membership.ownPosition { sum += max(0, membership.fanout.newest - position) }
    }
    return sum
  }

  /// The log with a partly sent message. At most one log has such a message.
  var unfinished: Fanout? {
    if let first, first.isInsideMessage { return first.fanout }
    return others?.all.first { $0.isInsideMessage }?.fanout
  }

  /// Returns the next bytes of several logs: the rest of a partly sent message, or bytes of the log that has waited
  /// longest. Frames of different messages must not be interleaved (RFC 6455, section 5.4).
  mutating func readNext(_ extent: Connection.Extent) -> (Slice, Fanout)? {
    guard let others else { return nil }
    let count = count
    var found: (slice: Slice, fanout: Fanout, index: Int)?
    for step in 0..<count {
      let index = (others.next + step) % count
      guard let membership = self[index], let slice = membership.read(upTo: extent.limit(membership.fanout))
      else { continue }
      if slice.beginsInsideMessage { return (slice, membership.fanout) }
      if found == nil { found = (slice, membership.fanout, index) }
    }
    guard let found else { return nil }
    others.next = found.index + 1
    return (found.slice, found.fanout)
  }

  // MARK: Changes, which only the fan-outs make

  mutating func add(_ fanout: Fanout, _ cursor: Cursor) {
    let membership = Membership(fanout: fanout, standing: .apart(cursor), slot: 0)
    guard first != nil else { return first = membership }
    if others == nil { others = Others() }
    others?.all.append(membership)
  }

  /// Removes the membership in the log of `fanout`, and returns it.
  mutating func remove(_ fanout: Fanout) -> Membership? {
    guard let removed = self[fanout] else { return nil }
    if first?.fanout === fanout {
      first = others?.all.popLast()
    } else {
      others?.all.removeAll { $0.fanout === fanout }
    }
    if others?.all.isEmpty == true { others = nil }
    return removed
  }

  mutating func set(_ standing: Membership.Standing, in fanout: Fanout) { update(fanout) { $0.standing = standing } }

  mutating func set(slot: Int, in fanout: Fanout) { update(fanout) { $0.slot = Int32(slot) } }

  private mutating func update(_ fanout: Fanout, _ change: (inout Membership) -> Void) {
    if var membership = first, membership.fanout === fanout {
      change(&membership)
      first = membership
    } else if let others, let index = others.all.firstIndex(where: { $0.fanout === fanout }) {
      change(&others.all[index])
    }
  }

  /// Moves the connection's own cursor in a log forward.
  mutating func advance(in fanout: Fanout, by count: Int) {
    update(fanout) { membership in
      guard case .apart(var cursor) = membership.standing else { return }
      fanout.form.advance(&cursor, by: count)
      membership.standing = .apart(cursor)
    }
  }
}
