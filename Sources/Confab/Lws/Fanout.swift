internal import Synchronization

/// One log on one event loop: writes what is appended to it to the loop's members.
///
/// Members that keep up form the *group*: they share one cursor, and each gets one write a segment. A member whose
/// socket is full, or that has something else to be sent first, stands *apart*, with a cursor of its own, until it has
/// caught up with the group (Backlog.swift).
///
/// Loop thread only, but for ``logGrew()``.
final class Fanout: LogReader, @unchecked Sendable {
  // @unchecked: all but `isScheduled` and `scheduledAt` is used on the loop's thread only.
  /// The form of ``root`` that the members read.
  let log: BroadcastLog
  /// The log that they have joined.
  let root: BroadcastLog
  private unowned let loop: EventLoop
  /// The group's cursor.
  private var cursor = Cursor.none
  /// The sockets and nothing else, side by side: what a delivery touches.
  private var group: ContiguousArray<Socket> = []
  private var apart: ContiguousArray<Connection> = []
  /// Connections whose next step has to wait until the group has been written further, see ``resume(_:)``.
  private var waiting: ContiguousArray<Connection> = []
  /// How many messages of the log have been counted as delivered.
  private var counted = 0
  private let isScheduled = Atomic(false)
  /// When it was scheduled last.
  private let scheduledAt = Atomic<UInt64>(0)
  private var isRetired = false

  init(_ log: BroadcastLog, of root: BroadcastLog, on loop: EventLoop) {
    self.log = log
    self.root = root
    self.loop = loop
    (cursor, counted) = log.add(self)
  }

  /// The position up to which the group has been written: others may catch up to here, and wait for it otherwise.
  var position: Int { cursor.position }

  func logGrew() {
    if isScheduled.load(ordering: .relaxed) || isScheduled.exchange(true, ordering: .acquiring) { return }
    scheduledAt.store(monotonicTime(), ordering: .relaxed)
    loop.schedule(self)
  }

  func logRelieved() {
    let loop = loop
    loop.execute { loop.isResumeDue = true }
  }

  /// Writes what has been appended since the last time. The turn has ended.
  func flush() {
    if isRetired { return }
    let since = scheduledAt.load(ordering: .relaxed)
    isScheduled.store(false, ordering: .releasing)
    let newest = cursor.position
    let (end, count) = log.takeExtent()
    let fresh = count - counted
    loop.counters.deliveries += fresh * (group.count + apart.count)
    counted = count
    while cursor.position < end { log.advance(&cursor, by: writeNext()) }
    resumeWaiting()
    if fresh > 0 && !group.isEmpty { loop.counters.latency.note(monotonicTime() &- since, count: fresh * group.count) }
    evict(behind: newest)
    log.note(self, at: cursor.position, limit: Fanout.maxLag)
    if group.isEmpty && apart.isEmpty { retire() }
  }

  /// A loop that is further behind has those who append wait, in bytes.
  private static let maxLag = (1 << 20) + Segment.limit

  /// Writes the next segment to the group. A function of its own, so that it has let go of the segment's bytes when the
  /// log reuses their memory.
  private func writeNext() -> Int {
    guard let slice = log.read(cursor) else { return 0 }
    unsafe slice.withBytes { bytes in
      var next = 0
      defer { loop.counters.sentBytes += bytes.count * group.count }
      while next < group.count {
        let socket = group[next]
        if socket.isBlocked {
          let connection = socket.connection
          setApart(connection)
          connection.requestWritable()
        } else if unsafe socket.write(bytes) == .failed {
          socket.connection.drop()
        } else {
          next += 1
        }
      }
    }
    return slice.count
  }

  /// Closes the members that are further behind than the limit is now, though nothing has been appended.
  func evict() { evict(behind: cursor.position) }

  /// Closes the members that have not read what lies further back than the limit from the newest batch. One message
  /// alone, however large, evicts nobody.
  private func evict(behind newest: Int) {
    guard !apart.isEmpty else { return }
    let limit = newest - loop.backlogLimit
    guard log.start < limit else { return }
    for connection in apart.reversed() {
      if case .apart(let cursor) = connection.place, cursor.position < limit { connection.evict() }
    }
  }

  /// What its members have not been sent.
  var unreadBytes: Int {
    let end = log.end
    return apart.reduce((end - cursor.position) * group.count) { sum, connection in
      guard case .apart(let cursor) = connection.place else { return sum }
      return sum + max(0, min(end, connection.end) - cursor.position)
    }
  }

  // MARK: Members

  /// Begins to read for `connection`, at the end of the log.
  func add(_ connection: Connection) {
    connection.fanout = self
    connection.place = .apart(log.makeCursor())
    insertApart(connection)
    resume(connection)
  }

  func remove(_ connection: Connection) {
    switch connection.place {
    case .none: return
    case .group: removeFromGroup(connection)
    case .apart(let cursor):
      removeFromApart(connection)
      log.remove(cursor)
    }
    connection.place = .none
    connection.fanout = nil
    if group.isEmpty && apart.isEmpty { loop.schedule(self) }
  }

  /// Lets go of the log: nobody has been a member when a turn ended.
  private func retire() {
    isRetired = true
    log.remove(self)
    log.remove(cursor)
    loop.forget(self)
  }

  /// Takes a member out of the group; it reads on from the group's position.
  func setApart(_ connection: Connection) {
    guard case .group = connection.place else { return }
    removeFromGroup(connection)
    connection.place = .apart(log.copy(cursor))
    insertApart(connection)
  }

  /// Takes a member that stands apart and has nothing to write now into the group, if it has caught up. A member that is
  /// ahead of the group, or that has something to send behind bytes the group has not been written yet, continues when
  /// the group has.
  ///
  /// The log has grown beyond the group's cursor then, so ``flush()`` is due. Without this nothing would write to the
  /// member again.
  func resume(_ connection: Connection) {
    guard case .apart(let own) = connection.place else { return }
    let next = max(own.position, connection.outbox?.nextMark ?? 0, connection.ending?.position ?? 0)
    if next > cursor.position && next < .max {
      if !connection.isScheduled { waiting.append(connection) }
      connection.isScheduled = true
    } else if own.position == cursor.position && connection.end == .max && connection.outbox == nil {
      admit(connection, own)
    }
  }

  private func resumeWaiting() {
    for connection in waiting {
      connection.isScheduled = false
      loop.schedule(connection)
    }
    waiting.removeAll(keepingCapacity: true)
  }

  private func admit(_ connection: Connection, _ own: Cursor) {
    guard let socket = connection.socket else { return }
    removeFromApart(connection)
    log.remove(own)
    connection.place = .group
    connection.slot = Int32(group.count)
    group.append(socket)
  }

  private func removeFromGroup(_ connection: Connection) {
    let last = group.removeLast()
    if connection.slot < group.count {
      group[Int(connection.slot)] = last
      last.connection.slot = connection.slot
    }
  }

  private func insertApart(_ connection: Connection) {
    connection.slot = Int32(apart.count)
    apart.append(connection)
  }

  private func removeFromApart(_ connection: Connection) {
    let last = apart.removeLast()
    if connection.slot < apart.count {
      apart[Int(connection.slot)] = last
      last.slot = connection.slot
    }
  }
}
