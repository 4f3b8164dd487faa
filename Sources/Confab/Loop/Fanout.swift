internal import Synchronization

/// One log on one event loop. Writes the appended messages to the loop's members.
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
  /// The addresses whose debts grow by the time of the next flush, because they have sent messages on this loop.
  private var owners = DeliveryOwners()
  /// The newest batch: bytes that were appended before a flush. Writing them may take several flushes.
  private var batch = 0..<0
  /// Whether a member has had other logs, too.
  var isSharedWithOthers = false
  /// Number of messages of the batch, times members.
  private var batchDeliveries = 0

  init(_ form: LogForm, on loop: EventLoop) {
    self.form = form
    self.loop = loop
    (cursor, counted) = form.add(self)
  }

  /// Position up to which the group has been written. Other members may catch up to it, and wait for the group there.
  var position: Int { cursor.position }

  /// Whether the group has been sent only a part of a message. If a member has other logs, too, this is true only while
  /// the fan-out writes: messages of other logs must not come in between.
  var isInsideMessage: Bool { form.read(cursor)?.beginsInsideMessage ?? false }

  /// Position before the newest batch.
  var newest: Int { batch.lowerBound }

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

  /// Writes the messages that were appended since the last flush. Called when the turn has ended. If they are large,
  /// the rest is written after other connections have had their turn.
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
      form.advance(&cursor, by: writeNext(upTo: end))
      if loop.turn.hasDeliveredEnough && !(isSharedWithOthers && isInsideMessage) { break }
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
    evict()
    form.note(self, at: cursor.position, limit: Fanout.maxLag)
    if group.isEmpty && apart.isEmpty { retire() }
  }

  /// Maximum lag of a loop, in bytes. If it is further behind, connections that append to the log are paused.
  private static let maxLag = (1 << 20) + Segment.limit

  /// Writes the next segment to the group, up to the position `end`. A part of a message that is appended meanwhile is
  /// not written: the rest would follow in a later flush, and messages of other logs might come in between. A separate
  /// function, so that it has released the segment's bytes when the log reuses their memory.
  private func writeNext(upTo end: Int) -> Int {
    guard let slice = form.read(cursor, upTo: end) else { return 0 }
    let bytes = slice.span
    var next = 0
    while next < group.count {
      let socket = group[next]
      if socket.isBlocked {
        let connection = socket.connection
        connection.setApart(in: self)
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
  func evictLagging() {
    if cursor.position >= batch.upperBound { batch = cursor.position..<cursor.position }
    evict()
  }

  /// Evicts the members that are further behind the newest batches of their logs than the limit. So one message alone
  /// does not evict a client, however large it is.
  private func evict() {
    guard !apart.isEmpty else { return }
    let limit = loop.backlogLimit
    guard form.start < newest - limit || isSharedWithOthers else { return }
    for connection in apart.reversed() where connection.memberships.lag > limit { connection.evict() }
  }

  /// Bytes that the members have not been sent.
  var unreadBytes: Int {
    apart.reduce((form.end - cursor.position) * group.count) { sum, connection in
      sum + (connection.memberships[self]?.unread(upTo: connection.end) ?? 0)
    }
  }

  // MARK: Members

  /// Makes `connection` a member, which reads from the end of the log on.
  func add(_ connection: Connection) {
    connection.memberships.add(self, form.makeCursor())
    insertApart(connection)
    // The connection may be in the middle of a message of another log.
    if connection.memberships.areSeveral { return loop.turn.schedule(connection) }
    resume(connection)
  }

  func remove(_ connection: Connection) {
    guard let membership = connection.memberships.remove(self) else { return }
    switch membership.standing {
    case .group: removeFromGroup(at: membership.slot)
    case .apart(let cursor):
      removeFromApart(at: membership.slot)
      form.remove(cursor)
    }
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
    guard let membership = connection.memberships[self], case .group = membership.standing else { return }
    removeFromGroup(at: membership.slot)
    connection.memberships.set(.apart(form.copy(cursor)), in: self)
    insertApart(connection)
  }

  /// Moves a member that stands apart and has nothing to write now into the group, if it has caught up. A member that
  /// is ahead of the group, or whose next message follows bytes that the group has not been written yet, waits for the
  /// group.
  ///
  /// The log has then grown beyond the group's cursor, so ``flush()`` is due. If the member did not wait, nothing would
  /// write to it again.
  func resume(_ connection: Connection) {
    guard let membership = connection.memberships[self], case .apart(let own) = membership.standing else { return }
    let outbox = connection.writing.outbox
    let next = max(own.position, outbox?.nextMark ?? 0, connection.ending?.position ?? 0)
    if next > cursor.position && next < .max {
      if connection.writing.schedule() { waiting.append(connection) }
    } else if own.position == cursor.position && connection.end == .max && outbox == nil {
      admit(connection, membership.slot, own)
    }
  }

  private func resumeWaiting() {
    for connection in waiting {
      connection.writing.unschedule()
      loop.turn.schedule(connection)
    }
    waiting.removeAll(keepingCapacity: true)
  }

  private func admit(_ connection: Connection, _ slot: Int32, _ own: Cursor) {
    guard let socket = connection.socket else { return }
    removeFromApart(at: slot)
    form.remove(own)
    connection.memberships.set(.group, in: self)
    connection.memberships.set(slot: group.count, in: self)
    group.append(socket)
  }

  private func removeFromGroup(at slot: Int32) {
    let last = group.removeLast()
    if slot < group.count {
      group[Int(slot)] = last
      last.connection.memberships.set(slot: Int(slot), in: self)
    }
  }

  private func insertApart(_ connection: Connection) {
    connection.memberships.set(slot: apart.count, in: self)
    apart.append(connection)
  }

  private func removeFromApart(at slot: Int32) {
    let last = apart.removeLast()
    if slot < apart.count {
      apart[Int(slot)] = last
      last.memberships.set(slot: Int(slot), in: self)
    }
  }
}
