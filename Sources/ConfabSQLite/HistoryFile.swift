internal import Confab
internal import ConfabChat

/// The messages of all rooms in a database: which tables it has, and what is done to them. One thread at a time.
final class HistoryFile {
  private let database: Database
  private let retention: Retention
  private let selectRoom, selectMessages, writeRoom, insertMessage: Statement
  private let trim, trimAge, oldestRoom, forgetRoom, forgetMessages: Statement
  /// Which run of a server it is, counted when the last one may have said more than it has written.
  private let run: Int
  private var untrimmed: [String: Int] = [:]
  private var unmeasured = 0

  /// What is kept.
  struct Retention {
    let messages: Int
    let bytes: Int
    /// Seconds; 0 is no limit.
    let age: Int
    /// Bytes of the file, of all rooms.
    let total: Int
  }

  /// How many numbers are left out when the last run may have given some to messages that it has not written.
  private static let jump = 1_000_000
  /// What a database of SQLite says of whose it is: "Cnfb".
  private static let application = 0x436E_6662
  private static let version = 1

  /// Opens a file, or makes it.
  ///
  /// - Parameter keepsAll: whether messages are on the disk before anybody hears of them.
  init(_ file: String, _ retention: Retention, keepsAll: Bool) throws(DatabaseError) {
    self.retention = retention
    database = try Database(file: file)
    // Nobody else may write it; so no memory has to be shared either.
    try database.run("PRAGMA locking_mode = EXCLUSIVE")
    try HistoryFile.check(database)
    try database.run("PRAGMA journal_mode = WAL")
    try database.run("PRAGMA synchronous = \(keepsAll ? "FULL" : "NORMAL")")
    let database = database
    try database.transaction { () throws(DatabaseError) in
      for sql in HistoryFile.tables { try database.run(sql) }
      try database.run("PRAGMA application_id = \(HistoryFile.application)")
      try database.run("PRAGMA user_version = \(HistoryFile.version)")
      // What follows happens in any case: after this the file is the server's alone.
      try database.run("INSERT OR IGNORE INTO runs VALUES (0, 0, 1)")
      try database.run("UPDATE runs SET run = run + 1 WHERE NOT isWhole")
      try database.run("UPDATE runs SET isWhole = \(keepsAll ? 1 : 0)")
      if retention.age > 0 {
        try database.run("DELETE FROM messages WHERE at < \(WallClock.milliseconds - Int64(retention.age) * 1000)")
      }
    }
    run = try database.run("SELECT run FROM runs") ?? 0
    selectRoom = try database.prepare("SELECT epoch, last, run FROM rooms WHERE name = ?")
    selectMessages = try database.prepare(
      "SELECT id, at, kind, bytes, author, tag FROM messages WHERE room = (SELECT id FROM rooms WHERE name = ?) ORDER BY id"
    )
    writeRoom = try database.prepare(
      """
      INSERT INTO rooms (name, epoch, last, run, at) VALUES (?1, ?2, ?3, ?4, ?5)
      ON CONFLICT (name) DO UPDATE SET last = ?3, run = ?4, at = ?5 RETURNING id
      """)
    insertMessage = try database.prepare("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?)")
    trim = try database.prepare(
      """
      DELETE FROM messages WHERE room = ?1 AND id <= (SELECT id FROM (
        SELECT id, row_number() OVER newest AS count, sum(length(bytes) + 64) OVER newest AS size
        FROM messages WHERE room = ?1 WINDOW newest AS (ORDER BY id DESC)
      ) WHERE count > ?2 OR size > ?3 ORDER BY id DESC LIMIT 1)
      """)
    trimAge = try database.prepare("DELETE FROM messages WHERE room = ? AND at < ?")
    forgetMessages = try database.prepare("DELETE FROM messages WHERE room = ?")
    forgetRoom = try database.prepare("DELETE FROM rooms WHERE id = ?")
    oldestRoom = try database.prepare("SELECT id FROM rooms ORDER BY at LIMIT 1")
  }

  /// Nothing is done to a database of somebody else's, or that it could not write.
  private static func check(_ database: Database) throws(DatabaseError) {
    if database.isReadOnly { throw DatabaseError("it can be read, but not written") }
    guard try database.run("SELECT count(*) FROM sqlite_schema") ?? 0 > 0 else { return }
    guard try database.run("PRAGMA application_id") == application else {
      throw DatabaseError("it is a database, but not of Confab")
    }
    guard try database.run("PRAGMA user_version") ?? 0 <= version else {
      throw DatabaseError("it has been written by a newer version")
    }
  }

  private static let tables = [
    """
    CREATE TABLE IF NOT EXISTS rooms (
      id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, epoch TEXT NOT NULL, last INTEGER NOT NULL,
      run INTEGER NOT NULL, at INTEGER NOT NULL) STRICT
    """,
    "CREATE INDEX IF NOT EXISTS rooms_at ON rooms (at)",
    """
    CREATE TABLE IF NOT EXISTS messages (
      room INTEGER NOT NULL, id INTEGER NOT NULL, at INTEGER NOT NULL, kind INTEGER NOT NULL, bytes BLOB NOT NULL,
      author TEXT, tag TEXT, PRIMARY KEY (room, id)) STRICT
    """,
    "CREATE TABLE IF NOT EXISTS runs (id INTEGER PRIMARY KEY, run INTEGER NOT NULL, isWhole INTEGER NOT NULL) STRICT",
  ]

  /// What is kept of a room; nil if it has never been written.
  func read(_ room: String) throws(DatabaseError) -> Kept? {
    var found: (epoch: String, last: Int)?
    try selectRoom.rows(.text(room)) {
      found = ($0.text(0) ?? "", $0.int(1) + HistoryFile.jump * (run - $0.int(2)))
    }
    guard let found else { return nil }
    var posts: [PlacedPost] = []
    try selectMessages.rows(.text(room)) { row in
      let post = Post(
        kind: Message.Kind(rawValue: UInt8(truncatingIfNeeded: row.int(2))) ?? .text, bytes: row.bytes(3),
        name: row.text(4), tag: row.text(5))
      posts.append(PlacedPost(post, at: Place(id: row.int(0), at: Int64(row.int(1)))))
    }
    return Kept(epoch: found.epoch, last: found.last, posts: posts)
  }

  /// What is to be written of one room.
  struct Page {
    let room: String
    let epoch: String
    /// Whether what came before it is lost: then what is kept would have a gap.
    let isCut: Bool
    var posts: [PlacedPost] = []
  }

  /// Writes all of it, or nothing, in the place of everything that there is if `isAllCut`. When it returns it is on the disk, or, unless everything has to be, with the system.
  func write(_ pages: [Page], isAllCut: Bool) throws(DatabaseError) {
    try database.transaction { () throws(DatabaseError) in
      if isAllCut { try database.run("DELETE FROM messages") }
      for page in pages { try write(page) }
      try makeSpace()
    }
  }

  private func write(_ page: Page) throws(DatabaseError) {
    guard let last = page.posts.last?.place else { return }
    var room = 0
    try writeRoom.rows(.text(page.room), .text(page.epoch), .int(last.id), .int(run), .int(Int(last.at))) {
      room = $0.int(0)
    }
    if page.isCut { try forgetMessages.run(.int(room)) }
    for placed in page.posts {
      let (place, post) = (placed.place, placed.post)
      try insertMessage.run(
        .int(room), .int(place.id), .int(Int(place.at)), .int(Int(post.kind.rawValue)), .blob(post.bytes),
        .text(post.name), .text(post.tag))
      unmeasured += post.bytes.count + 64
    }
    // Not each time, since it looks at all of the room's messages.
    untrimmed[page.room, default: 63] += page.posts.count
    guard untrimmed[page.room, default: 0] >= 64 else { return }
    if untrimmed.count > 10_000 { untrimmed.removeAll() }
    untrimmed[page.room] = 0
    try trim.run(.int(room), .int(retention.messages), .int(retention.bytes))
    if retention.age > 0 { try trimAge.run(.int(room), .int(Int(last.at) - retention.age * 1000)) }
  }

  /// Forgets the rooms in which nothing has been said for the longest time, when the file is too large.
  private func makeSpace() throws(DatabaseError) {
    guard unmeasured > min(1 << 20, retention.total / 16) else { return }
    unmeasured = 0
    while try used() > retention.total {
      var room: Int?
      try oldestRoom.rows { room = $0.int(0) }
      guard let room else { return }
      try forgetMessages.run(.int(room))
      try forgetRoom.run(.int(room))
    }
  }

  /// The bytes of the file that something is in.
  private func used() throws(DatabaseError) -> Int {
    let pages = try database.run("PRAGMA page_count") ?? 0
    let free = try database.run("PRAGMA freelist_count") ?? 0
    return (pages - free) * (try database.run("PRAGMA page_size") ?? 0)
  }

  /// Everything has been written that anybody has heard of.
  func finish() throws(DatabaseError) {
    try database.run("UPDATE runs SET isWhole = 1")
    try database.run("PRAGMA wal_checkpoint(TRUNCATE)")
  }
}
