internal import Synchronization

/// One log on one event loop: writes what is appended to it to the loop's members.
///
/// Members that keep up form the *group*: they share one cursor, and each gets one write for each segment. A member
/// whose socket is full, or that has something else to be sent first, stands *apart* with its own cursor until it has
/// caught up with the group (Connection/Writing.swift).
///
/// Loop thread only, except ``logGrew()`` and ``logRelieved()``.
final class Fanout: LogReader, @unchecked Sendable {
  // @unchecked: all but `isScheduled` and `scheduledAt` is used on the loop's thread only.
  /// The log that the members have joined, in the form that they read.
  let form: LogForm
  private unowned let loop: EventLoop
  /// The group's cursor.
  private var cursor = Cursor.none
  /// The sockets of the group and nothing else, side by side: the memory that a delivery touches.
  private var group: ContiguousArray<Socket> = []
  private var apart: ContiguousArray<Connection> = []
  /// Connections whose next step waits until the group has been written further, see ``resume(_:)``.
  private var waiting: ContiguousArray<Connection> = []
  /// Number of the log's messages that have been counted as delivered.
  private var counted = 0
  private let isScheduled = Atomic(false)
  /// Time at which it was last scheduled.
  private let scheduledAt = Atomic<UInt64>(0)
  private var isRetired = false
  /// The addresses whose debts grow by the time of the next flush: those that have sent messages on this loop.
  private var owners = DeliveryOwners()
  /// The newest batch: what was appended before a flush, and may take several flushes to write.
  private var batch = 0..<0
  /// Number of messages of the batch, times members.
  private var batchDeliveries = 0

  init(_ form: LogForm, on loop: EventLoop) {
    self.form = form
    self.loop = loop
    (cursor, counted) = form.add(self)
  }

  /// Position up to which the group has been written. Other members may catch up to it, and wait for the group there.
  var position: Int { cursor.position }

  func logGrew() {
    if isScheduled.load(ordering: .relaxed) || isScheduled.exchange(true, ordering: .acquiring) { return }
    scheduledAt.store(monotonicTime(), ordering: .relaxed)
    loop.schedule(self)
  }

  /// Adds the sender of a message that may be in the next flush.
  func addOwner(_ address: Int?, _ bytes: Int) { owners.add(address, bytes) }

  func logRelieved() {
    let loop = loop
    loop.execute { loop.reads.checkPaused() }
  }

  /// Writes what has been appended since the last flush. Called when the turn has ended. If that is much, the rest is
  /// written after other connections have had their turn.
  func flush() {
    if isRetired { return }
    let start = owners.isEmpty ? 0 : monotonicTime()
    let since = scheduledAt.load(ordering: .relaxed)
    isScheduled.store(false, ordering: .releasing)
    let (end, count) = form.takeExtent()
    let fresh = count - counted
    loop.counters.deliveries += fresh * (group.count + apart.count)
    batchDeliveries += fresh * group.count
    counted = count
    if cursor.position >= batch.upperBound { batch = cursor.position..<end }
    while cursor.position < end {
      form.advance(&cursor, by: writeNext())
      if loop.turn.hasDeliveredEnough { break }
    }
    resumeWaiting()
    if batchDeliveries > 0 || !owners.isEmpty {
      let now = monotonicTime()
      if !owners.isEmpty { loop.work.charge(owners, from: start, to: now) }
      if cursor.position >= end {
        loop.counters.latency.note(now &- since, count: batchDeliveries)
        batchDeliveries = 0
      }
    }
    if cursor.position >= end {
      owners.removeAll()
    } else if !isScheduled.exchange(true, ordering: .acquiring) {
      loop.turn.schedule(self)
    }
    evict(behind: batch.lowerBound)
    form.note(self, at: cursor.position, limit: Fanout.maxLag)
    if group.isEmpty && apart.isEmpty { retire() }
  }

  /// Maximum lag of a loop, in bytes. If it is further behind, connections that append to the log are paused.
  private static let maxLag = (1 << 20) + Segment.limit

  /// Writes the next segment to the group. A separate function, so that it has released the segment's bytes when the
  /// log reuses their memory.
  private func writeNext() -> Int {
    guard let slice = form.read(cursor) else { return 0 }
    let bytes = slice.span
    var next = 0
    while next < group.count {
      let socket = group[next]
      if socket.isBlocked {
        let connection = socket.connection
        setApart(connection)
        connection.requestWritable()
      } else if socket.write(bytes) == .failed {
        socket.connection.drop()
      } else {
        next += 1
      }
    }
    loop.counters.sentBytes += bytes.count * group.count
    loop.turn.noteDelivery(of: bytes.count * group.count)
    return bytes.count
  }

  /// Evicts the members that are further behind than the current limit, even if nothing has been appended.
  func evict() { evict(behind: cursor.position < batch.upperBound ? batch.lowerBound : cursor.position) }

  /// Evicts the members that are further behind `newest`, the start of the newest batch, than the limit. So one message
  /// alone does not evict a client, however large it is.
  private func evict(behind newest: Int) {
    guard !apart.isEmpty else { return }
    let limit = newest - loop.backlogLimit
    guard form.start < limit else { return }
    for connection in apart.reversed() {
      if connection.membership.isApart(before: limit) { connection.evict() }
    }
  }

  /// Bytes that the members have not been sent.
  var unreadBytes: Int {
    apart.reduce((form.end - cursor.position) * group.count) { sum, connection in
      sum + max(0, connection.membership.unread(upTo: connection.end))
    }
  }

  // MARK: Members

  /// Makes `connection` a member, which reads from the end of the log on.
  func add(_ connection: Connection) {
    connection.membership.fanout = self
    connection.membership.standing = .apart(form.makeCursor())
    insertApart(connection)
    resume(connection)
  }

  func remove(_ connection: Connection) {
    switch connection.membership.standing {
    case .none: return
    case .group: removeFromGroup(connection)
    case .apart(let cursor):
      removeFromApart(connection)
      form.remove(cursor)
    }
    connection.membership.standing = .none
    connection.membership.fanout = nil
    if group.isEmpty && apart.isEmpty { loop.schedule(self) }
  }

  /// Releases the log. Called when a turn has ended without members.
  private func retire() {
    isRetired = true
    form.remove(self)
    form.remove(cursor)
    loop.fanouts.remove(self)
  }

  /// Takes a member out of the group. It reads on from the group's position.
  func setApart(_ connection: Connection) {
    guard case .group = connection.membership.standing else { return }
    removeFromGroup(connection)
    connection.membership.standing = .apart(form.copy(cursor))
    insertApart(connection)
  }

  /// Moves a member that stands apart and has nothing to write now into the group, if it has caught up. A member that
  /// is ahead of the group, or whose next message follows bytes that the group has not been written yet, waits for the
  /// group.
  ///
  /// The log has then grown beyond the group's cursor, so ``flush()`` is due. If the member did not wait, nothing would
  /// write to it again.
  func resume(_ connection: Connection) {
    guard case .apart(let own) = connection.membership.standing else { return }
    let outbox = connection.writing.outbox
    let next = max(own.position, outbox?.nextMark ?? 0, connection.ending?.position ?? 0)
    if next > cursor.position && next < .max {
      if connection.writing.schedule() { waiting.append(connection) }
    } else if own.position == cursor.position && connection.end == .max && outbox == nil {
      admit(connection, own)
    }
  }

  private func resumeWaiting() {
    for connection in waiting {
      connection.writing.unschedule()
      loop.turn.schedule(connection)
    }
    waiting.removeAll(keepingCapacity: true)
  }

  private func admit(_ connection: Connection, _ own: Cursor) {
    guard let socket = connection.socket else { return }
    removeFromApart(connection)
    form.remove(own)
    connection.membership.standing = .group
    connection.membership.slot = Int32(group.count)
    group.append(socket)
  }

  private func removeFromGroup(_ connection: Connection) {
    let last = group.removeLast()
    if connection.membership.slot < group.count {
      group[Int(connection.membership.slot)] = last
      last.connection.membership.slot = connection.membership.slot
    }
  }

  private func insertApart(_ connection: Connection) {
    connection.membership.slot = Int32(apart.count)
    apart.append(connection)
  }

  private func removeFromApart(_ connection: Connection) {
    let last = apart.removeLast()
    if connection.membership.slot < apart.count {
      apart[Int(connection.membership.slot)] = last
      last.membership.slot = connection.membership.slot
    }
  }
}

/// A connection's membership in a log.
struct Membership {
  fileprivate enum Standing {
    /// It has not joined a log.
    case none
    /// It shares the cursor of its fan-out's group.
    case group
    /// It has its own cursor.
    case apart(Cursor)
  }
  /// The fan-out of the joined log.
  fileprivate(set) var fanout: Fanout?
  fileprivate var standing = Standing.none
  /// The index among the fan-out's members with the same standing.
  fileprivate var slot: Int32 = 0

  /// Whether it has its own cursor.
  var isApart: Bool { if case .apart = standing { true } else { false } }

  /// Whether it has its own cursor, before `position`.
  func isApart(before position: Int) -> Bool {
    if case .apart(let cursor) = standing { cursor.position < position } else { false }
  }

  /// Bytes of the log that the connection has not been sent, up to `end`.
  func unread(upTo end: Int) -> Int {
    guard let fanout else { return 0 }
    return switch standing {
    case .none: 0
    case .group: fanout.form.end - fanout.position
    case .apart(let cursor): min(fanout.form.end, end) - cursor.position
    }
  }

  /// Returns the next bytes for a connection with its own cursor, up to the position `limit`.
  func read(upTo limit: Int) -> Slice? {
    guard let fanout, case .apart(let cursor) = standing else { return nil }
    return fanout.form.read(cursor, upTo: limit)
  }
}

extension Connection {
  /// Moves the connection's own cursor in its log forward.
  func advanceInLog(by count: Int) {
    guard let fanout = membership.fanout, case .apart(var cursor) = membership.standing else { return }
    fanout.form.advance(&cursor, by: count)
    membership.standing = .apart(cursor)
  }
}
