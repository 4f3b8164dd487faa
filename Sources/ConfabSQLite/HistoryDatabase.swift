internal import Confab
internal import ConfabChat

/// The messages of all rooms in a database, and the SQL statements that read and write them. One thread at a time.
///
/// A room continues its epoch only if the database has every delivered message. The run is a random number that changes
/// whenever this is uncertain. A room that was written in another run begins another epoch.
final class HistoryDatabase {
  let database: Database
  private let mark: DeliveryMark
  private let file: String
  private let retention: Retention
  /// Whether messages are on the disk before they are delivered.
  private let keepsAll: Bool
  private let selectRoom, selectMessages, renumberRoom, writeRoom, insertMessage, writeRun: Statement
  private let trim, trimAge, oldestRoom, deleteRoom, deleteMessages, deleteFrom, erase, lastChange: Statement
  private let savepoint, release, rollback: Statement
  private(set) var run: Int
  /// Number of the last transaction that has written messages.
  private var transaction: Int
  /// Transaction number in the mark; nil if unknown.
  private var marked: Int?
  private var untrimmed: [ByteKey: Int] = [:]
  private var unmeasured = 0

  /// Limits of the stored messages.
  struct Retention {
    let messages: Int
    let bytes: Int
    /// Maximum age in seconds; 0 means no limit.
    let age: Int
    /// Maximum size of the file, for all rooms, in bytes.
    let total: Int
  }

  /// Number of offsets that a new epoch skips, so that offsets rise even for clients that ignore the epoch.
  private static let jump = 1_000_000
  /// Valid numbers of transactions and last offsets of rooms.
  private static let numbers = 0...Position.offsets.upperBound

  /// Opens a file, and creates it if necessary.
  ///
  /// - Parameters:
  ///   - keepsAll: whether messages are on the disk before they are delivered.
  ///   - hook: for tests; otherwise nil.
  init(_ file: String, _ retention: Retention, keepsAll: Bool, _ hook: StepHook? = nil) throws(DatabaseError) {
    (self.file, self.retention, self.keepsAll) = (file, retention, keepsAll)
    // Read before this server changes the file.
    let changed = DeliveryMark.changeTime(of: file)
    try DeliveryMark.makeFile(file)
    database = try Database(file: file, hook)
    // The lock excludes other processes, and makes shared memory unnecessary.
    try database.run("PRAGMA locking_mode = EXCLUSIVE")
    try Schema.check(database)
    try database.run("PRAGMA journal_mode = WAL")
    try database.run("PRAGMA synchronous = \(keepsAll ? "FULL" : "NORMAL")")
    (run, transaction) = (0, 0)
    try database.transaction { [database] () throws(DatabaseError) in try Schema.update(database) }
    // From here on this server has exclusive access to the file and the mark.
    mark = try DeliveryMark(file: file + "-delivered", hook)
    (run, transaction) = (
      try database.run("SELECT run FROM runs") ?? 0, try database.run("SELECT writes FROM runs") ?? 0
    )
    // A run that does not match any mark.
    if !HistoryDatabase.numbers.contains(transaction) { (run, transaction) = (-1, 0) }
    selectRoom = try database.prepare("SELECT epoch, last, run FROM rooms WHERE name = ?")
    selectMessages = try database.prepare(
      """
      SELECT id, at, kind, bytes, author, tag, member, target FROM messages
      WHERE room = (SELECT id FROM rooms WHERE name = ?) ORDER BY id
      """)
    renumberRoom = try database.prepare("UPDATE rooms SET epoch = ?2, last = ?3, run = ?4 WHERE name = ?1")
    writeRoom = try database.prepare(
      """
      INSERT INTO rooms (name, epoch, last, run, at) VALUES (?1, ?2, ?3, ?4, ?5)
      ON CONFLICT (name) DO UPDATE SET epoch = ?2, last = ?3, run = ?4, at = ?5 RETURNING id
      """)
    insertMessage = try database.prepare("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
    writeRun = try database.prepare("UPDATE runs SET run = ?, writes = ?")
    trim = try database.prepare(
      """
      DELETE FROM messages WHERE room = ?1 AND id <= (SELECT id FROM (
        SELECT id, row_number() OVER newest AS count, sum(length(bytes) + 64) OVER newest AS size
        FROM messages WHERE room = ?1 WINDOW newest AS (ORDER BY id DESC)
      ) WHERE count > ?2 OR size > ?3 ORDER BY id DESC LIMIT 1)
      """)
    // If the clock was set back, a message may be older than earlier messages. The earlier messages are deleted with
    // it, so that a gap cannot arise.
    trimAge = try database.prepare(
      "DELETE FROM messages WHERE room = ?1 AND id <= (SELECT max(id) FROM messages WHERE room = ?1 AND at < ?2)")
    deleteMessages = try database.prepare("DELETE FROM messages WHERE room = ?")
    deleteFrom = try database.prepare("DELETE FROM messages WHERE room = ? AND id >= ?")
    // Each change erases the change before it.
    erase = try database.prepare(
      """
      UPDATE messages SET bytes = x'' WHERE room = ?1 AND length(bytes) > 0 AND id IN
        (?3, (SELECT max(id) FROM messages WHERE room = ?1 AND target = ?3 AND id < ?2))
      """)
    lastChange = try database.prepare(
      "SELECT kind FROM messages WHERE room = ? AND target = ? AND id < ? ORDER BY id DESC LIMIT 1")
    deleteRoom = try database.prepare("DELETE FROM rooms WHERE id = ?")
    oldestRoom = try database.prepare("SELECT id FROM rooms ORDER BY at LIMIT 1")
    savepoint = try database.prepare("SAVEPOINT room")
    release = try database.prepare("RELEASE room")
    rollback = try database.prepare("ROLLBACK TO room")
    try begin(changed)
  }

  /// Decides whether epochs continue, and writes that to the disk before any offset is assigned.
  private func begin(_ changed: Int?) throws(DatabaseError) {
    let known = mark.read()
    let old = run
    let isWhole = known.map { $0.run == old && $0.transaction <= transaction } ?? false
    let isUntouched = known.map { $0.changed == 0 || $0.changed == changed } ?? false
    if !isWhole || !isUntouched { beginRun() }
    try database.transaction { () throws(DatabaseError) in
      try writeRun.run(.int(run), .int(transaction + 1))
      // The file has all delivered messages, unless it and its mark are older copies. The epochs change, but no offset
      // is skipped.
      if isWhole && !isUntouched {
        try database.run(
          "UPDATE rooms SET epoch = lower(hex(randomblob(8))), run = \(run) WHERE run = \(old)")
      }
      guard retention.age > 0 else { return }
      let end = Int(WallClock.milliseconds) - retention.age * 1000
      var rooms: [Int] = []
      try database.prepare("SELECT DISTINCT room FROM messages WHERE at < ?").rows(.int(end)) {
        rooms.append($0.int(0))
      }
      for room in rooms { try trimAge.run(.int(room), .int(end)) }
    }
    transaction += 1
    try allow(keepsAll ? transaction : .max)
  }

  /// Ends all epochs, because delivered messages will never be written.
  func beginRun() { (run, marked) = (Int.random(in: 1 ... .max), nil) }

  /// Reads a room's snapshot; nil if the room has never been written. Messages with invalid offsets or times are left
  /// out and counted.
  func read(_ room: String) throws(DatabaseError) -> (snapshot: RoomSnapshot, unusable: Int)? {
    var found: (epoch: String, last: Int, run: Int)?
    try selectRoom.rows(.text(room)) { found = ($0.text(0) ?? "", $0.int(1), $0.int(2)) }
    guard var found else { return nil }
    let isUsable = HistoryDatabase.numbers.contains(found.last)
    if found.run != run || !isUsable {
      let last = isUsable ? found.last + HistoryDatabase.jump : RoomSnapshot.unreadable.lastOffset
      found = (RoomSnapshot.empty.epoch, last, run)
      // If this write fails, the next read assigns another epoch.
      try? renumberRoom.run(.text(room), .text(found.epoch), .int(found.last), .int(run))
    }
    var (publications, unusable) = ([Publication](), 0)
    try selectMessages.rows(.text(room)) { row in
      let (id, at) = (row.int(0), row.int(1))
      guard Position.offsets.contains(id), id <= found.last, Position.times.contains(Int64(at)) else {
        return unusable += 1
      }
      guard let entry = EntryKind(kind: row.int(2), target: row.number(7), at: id) else { return unusable += 1 }
      let draft = Draft(
        entry, kind: Message.Kind(rawValue: UInt8(truncatingIfNeeded: row.int(2))) ?? .text, bytes: row.bytes(3),
        name: row.text(4), member: row.number(6).map { Member(number: UInt64(bitPattern: Int64($0))) }, tag: row.text(5)
      )
      publications.append(Publication(draft, at: Position(offset: id, time: Int64(at))))
    }
    return (RoomSnapshot(epoch: found.epoch, lastOffset: found.last, publications: publications), unusable)
  }

  /// Writes all batches in one transaction. Returns the failed batches with the reasons. The other batches are then on
  /// the disk or, if `keepsAll` is false, in the system's cache.
  func write(_ batches: [RoomBatch]) throws(DatabaseError) -> [(batch: RoomBatch, error: DatabaseError)] {
    var failed: [(batch: RoomBatch, error: DatabaseError)] = []
    try database.transaction { () throws(DatabaseError) in
      for batch in batches {
        try savepoint.run()
        do throws(DatabaseError) {
          try write(batch)
        } catch {
          // Some errors, such as a full disk, have ended the whole transaction.
          guard database.isInTransaction else { throw error }
          failed.append((batch, error))
          try rollback.run()
        }
        try release.run()
      }
      try writeRun.run(.int(run), .int(transaction + 1))
      try makeSpace()
    }
    transaction += 1
    return failed
  }

  private func write(_ batch: RoomBatch) throws(DatabaseError) {
    guard let first = batch.publications.first?.position, let last = batch.publications.last?.position else { return }
    var room = 0
    try writeRoom.rows(
      .text(batch.room), .text(batch.epoch.name), .int(last.offset), .int(batch.epoch.run), .int(Int(last.time))
    ) { room = $0.int(0) }
    // Offsets of messages that could not be read have been assigned again.
    try deleteFrom.run(.int(room), .int(batch.replaces ? 0 : first.offset))
    for publication in batch.publications {
      let (position, draft) = (publication.position, publication.draft)
      let isErased =
        try draft.entry.target.map { target throws(DatabaseError) in
          try erase(target, in: room, before: position.offset)
        } ?? false
      try insertMessage.run(
        .int(room), .int(position.offset), .int(Int(position.time)), .int(isErased ? 0 : draft.storedKind),
        .blob(isErased ? [] : draft.bytes),
        .text(draft.name), .text(draft.tag), .number(draft.member.map { Int(Int64(bitPattern: $0.number)) }),
        .number(draft.entry.target))
      unmeasured += draft.bytes.count + 64
    }
    // The trimming reads all of the room's messages, so it runs only once per 64 messages.
    untrimmed[batch.key, default: 63] += batch.publications.count
    guard untrimmed[batch.key, default: 0] >= 64 else { return }
    if untrimmed.count > 10_000 { untrimmed.removeAll() }
    untrimmed[batch.key] = 0
    try trim.run(.int(room), .int(retention.messages), .int(retention.bytes))
    if retention.age > 0 { try trimAge.run(.int(room), .int(Int(last.time) - retention.age * 1000)) }
  }

  /// Overwrites the content of a message that a new change replaces, and the content of the previous change. The
  /// write-ahead log may have the old content until SQLite overwrites the log. Returns whether the message was removed
  /// before: then the new change is stored as another removal.
  private func erase(_ target: Int, in room: Int, before offset: Int) throws(DatabaseError) -> Bool {
    // `secure_delete` is off at other times, because overwriting all deleted content would double the writing.
    try database.run("PRAGMA secure_delete = ON")
    defer { _ = try? database.run("PRAGMA secure_delete = OFF") }
    try erase.run(.int(room), .int(offset), .int(target))
    var isRemoved = false
    try lastChange.rows(.int(room), .int(target), .int(offset)) { isRemoved = $0.int(0) == 0 }
    return isRemoved
  }

  /// Deletes the rooms with the oldest last message, if the file is too large.
  private func makeSpace() throws(DatabaseError) {
    guard unmeasured > min(1 << 20, retention.total / 16) else { return }
    unmeasured = 0
    while try used() > retention.total {
      var room: Int?
      try oldestRoom.rows { room = $0.int(0) }
      guard let room else { return }
      try deleteMessages.run(.int(room))
      try deleteRoom.run(.int(room))
    }
  }

  /// Returns the number of bytes in use in the file.
  private func used() throws(DatabaseError) -> Int {
    let pages = try database.run("PRAGMA page_count") ?? 0
    let free = try database.run("PRAGMA freelist_count") ?? 0
    return (pages - free) * (try database.run("PRAGMA page_size") ?? 0)
  }

  // MARK: Delivery

  /// Marks the written messages as delivered; if `isWhole` is false, also unwritten messages. Call this before the
  /// delivery.
  func allow(isWhole: Bool) throws(DatabaseError) { try allow(keepsAll && isWhole ? transaction : .max) }

  private func allow(_ number: Int) throws(DatabaseError) {
    if marked == number { return }
    try mark.write(.init(run: run, transaction: number), isLasting: marked == nil || number == .max)
    marked = number
  }

  /// Finishes the file, after all delivered messages have been written.
  func finish() throws(DatabaseError) {
    try database.run("PRAGMA wal_checkpoint(TRUNCATE)")
    let changed = DeliveryMark.changeTime(of: file) ?? 0
    try mark.write(.init(run: run, transaction: transaction, changed: changed), isLasting: true)
  }
}

extension Draft {
  /// Number of the kind in the file: the number of the message kind, or 0 for a removal.
  fileprivate var storedKind: Int {
    if case .removal = entry { 0 } else { Int(kind.rawValue) }
  }
}

extension EntryKind {
  /// Nil if an entry with this offset cannot have this target.
  fileprivate init?(kind: Int, target: Int?, at offset: Int) {
    guard let target else {
      self = .message
      return
    }
    guard Position.offsets.contains(target), target < offset else { return nil }
    self = kind == 0 ? .removal(of: target) : .edit(of: target)
  }
}

extension RoomSnapshot {
  /// Snapshot of a room that cannot be read. Its last offset is above all offsets that the room can have used.
  static var unreadable: RoomSnapshot {
    RoomSnapshot(epoch: empty.epoch, lastOffset: Int(WallClock.milliseconds), publications: [])
  }
}
