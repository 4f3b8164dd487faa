internal import Confab
internal import ConfabChat

/// The messages of all rooms in a database: which tables it has, and what is done to them. One thread at a time.
///
/// A numbering is a room's epoch, and continues only where nothing has been delivered that the database does not have.
/// That is what a run tells: a number at random, which is another one whenever that is not certain. A room that was
/// written in another run than this one begins another epoch.
final class HistoryFile {
  private let database: Database
  private let mark: DeliveryMark
  private let file: String
  private let retention: Retention
  /// Whether messages are on the disk before anybody hears of them.
  private let keepsAll: Bool
  private let selectRoom, selectMessages, renumberRoom, writeRoom, insertMessage, writeRun: Statement
  private let trim, trimAge, oldestRoom, forgetRoom, forgetMessages, forgetFrom: Statement
  private let savepoint, release, rollback: Statement
  private(set) var run: Int
  /// The number of the last transaction that has written messages.
  private var transaction: Int
  /// What the mark says beside the run; nil if nobody knows.
  private var marked: Int?
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

  /// How many numbers a new epoch leaves out, so that numbers rise even for those who do not look at it.
  private static let jump = 1_000_000
  /// Numbers of transactions, and last numbers of rooms, that this program can have written.
  private static let numbers = 0...Place.ids.upperBound

  /// Opens a file, or makes it.
  ///
  /// - Parameters:
  ///   - keepsAll: whether messages are on the disk before anybody hears of them.
  ///   - hook: nil, but for tests.
  init(_ file: String, _ retention: Retention, keepsAll: Bool, _ hook: StepHook? = nil) throws(DatabaseError) {
    (self.file, self.retention, self.keepsAll) = (file, retention, keepsAll)
    // As whoever had it left it.
    let changed = DeliveryMark.changeTime(of: file)
    try DeliveryMark.makeFile(file)
    database = try Database(file: file, hook)
    // Nobody else may write it; so no memory has to be shared either.
    try database.run("PRAGMA locking_mode = EXCLUSIVE")
    try Schema.check(database)
    try database.run("PRAGMA journal_mode = WAL")
    try database.run("PRAGMA synchronous = \(keepsAll ? "FULL" : "NORMAL")")
    (run, transaction) = (0, 0)
    try database.transaction { [database] () throws(DatabaseError) in try Schema.update(database) }
    // From here on the file is this server's alone, and so is the mark.
    mark = try DeliveryMark(file: file + "-delivered", hook)
    (run, transaction) = (
      try database.run("SELECT run FROM runs") ?? 0, try database.run("SELECT writes FROM runs") ?? 0
    )
    // No mark is of this run.
    if !HistoryFile.numbers.contains(transaction) { (run, transaction) = (-1, 0) }
    selectRoom = try database.prepare("SELECT epoch, last, run FROM rooms WHERE name = ?")
    selectMessages = try database.prepare(
      """
      SELECT id, at, kind, bytes, author, tag, member FROM messages
      WHERE room = (SELECT id FROM rooms WHERE name = ?) ORDER BY id
      """)
    renumberRoom = try database.prepare("UPDATE rooms SET epoch = ?2, last = ?3, run = ?4 WHERE name = ?1")
    writeRoom = try database.prepare(
      """
      INSERT INTO rooms (name, epoch, last, run, at) VALUES (?1, ?2, ?3, ?4, ?5)
      ON CONFLICT (name) DO UPDATE SET epoch = ?2, last = ?3, run = ?4, at = ?5 RETURNING id
      """)
    insertMessage = try database.prepare("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
    writeRun = try database.prepare("UPDATE runs SET run = ?, writes = ?")
    trim = try database.prepare(
      """
      DELETE FROM messages WHERE room = ?1 AND id <= (SELECT id FROM (
        SELECT id, row_number() OVER newest AS count, sum(length(bytes) + 64) OVER newest AS size
        FROM messages WHERE room = ?1 WINDOW newest AS (ORDER BY id DESC)
      ) WHERE count > ?2 OR size > ?3 ORDER BY id DESC LIMIT 1)
      """)
    // When the clock was set back, a message may be older than those before it: those go with it, so no hole is left.
    trimAge = try database.prepare(
      "DELETE FROM messages WHERE room = ?1 AND id <= (SELECT max(id) FROM messages WHERE room = ?1 AND at < ?2)")
    forgetMessages = try database.prepare("DELETE FROM messages WHERE room = ?")
    forgetFrom = try database.prepare("DELETE FROM messages WHERE room = ? AND id >= ?")
    forgetRoom = try database.prepare("DELETE FROM rooms WHERE id = ?")
    oldestRoom = try database.prepare("SELECT id FROM rooms ORDER BY at LIMIT 1")
    savepoint = try database.prepare("SAVEPOINT room")
    release = try database.prepare("RELEASE room")
    rollback = try database.prepare("ROLLBACK TO room")
    try begin(changed)
  }

  /// Decides whether numberings continue, and says so on the disk before any number is given.
  private func begin(_ changed: Int?) throws(DatabaseError) {
    let known = mark.read()
    let old = run
    let isWhole = known.map { $0.run == old && $0.transaction <= transaction } ?? false
    let isUntouched = known.map { $0.changed == 0 || $0.changed == changed } ?? false
    if !isWhole || !isUntouched { beginRun() }
    try database.transaction { () throws(DatabaseError) in
      try writeRun.run(.int(run), .int(transaction + 1))
      // It has all that has been delivered, unless it is an older copy, together with its mark: no number is left out.
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

  /// Ends all numberings: something has been delivered that will never be written.
  func beginRun() { (run, marked) = (Int.random(in: 1 ... .max), nil) }

  /// Reads what is kept of a room; nil if it has never been written. Messages whose numbers or times this program cannot
  /// have written are left out, and counted.
  func read(_ room: String) throws(DatabaseError) -> (kept: Kept, unusable: Int)? {
    var found: (epoch: String, last: Int, run: Int)?
    try selectRoom.rows(.text(room)) { found = ($0.text(0) ?? "", $0.int(1), $0.int(2)) }
    guard var found else { return nil }
    let isUsable = HistoryFile.numbers.contains(found.last)
    if found.run != run || !isUsable {
      let last = isUsable ? found.last + HistoryFile.jump : Kept.unknown.last
      found = (Kept.nothing.epoch, last, run)
      // If it can't be written, whoever reads the room next gives it another one.
      try? renumberRoom.run(.text(room), .text(found.epoch), .int(found.last), .int(run))
    }
    var (posts, unusable) = ([PlacedPost](), 0)
    try selectMessages.rows(.text(room)) { row in
      let (id, at) = (row.int(0), row.int(1))
      guard Place.ids.contains(id), id <= found.last, Place.times.contains(Int64(at)) else { return unusable += 1 }
      let post = Post(
        kind: Message.Kind(rawValue: UInt8(truncatingIfNeeded: row.int(2))) ?? .text, bytes: row.bytes(3),
        name: row.text(4), member: row.number(6).map { Member(number: UInt64(bitPattern: Int64($0))) }, tag: row.text(5)
      )
      posts.append(PlacedPost(post, at: Place(id: id, at: Int64(at))))
    }
    return (Kept(epoch: found.epoch, last: found.last, posts: posts), unusable)
  }

  /// Writes all pages in one transaction, but for those that are returned with the reason. When it returns they are on the
  /// disk, or, unless everything has to be, with the system.
  func write(_ pages: [Page]) throws(DatabaseError) -> [(page: Page, error: DatabaseError)] {
    var failed: [(page: Page, error: DatabaseError)] = []
    try database.transaction { () throws(DatabaseError) in
      for page in pages {
        try savepoint.run()
        do throws(DatabaseError) {
          try write(page)
        } catch {
          // A full disk, say, has ended the whole transaction.
          guard database.isInTransaction else { throw error }
          failed.append((page, error))
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

  private func write(_ page: Page) throws(DatabaseError) {
    guard let first = page.posts.first?.place, let last = page.posts.last?.place else { return }
    var room = 0
    try writeRoom.rows(
      .text(page.room), .text(page.numbering.epoch), .int(last.id), .int(page.numbering.run), .int(Int(last.at))
    ) { room = $0.int(0) }
    // What could not be read has been numbered anew.
    try forgetFrom.run(.int(room), .int(page.replaces ? 0 : first.id))
    for placed in page.posts {
      let (place, post) = (placed.place, placed.post)
      try insertMessage.run(
        .int(room), .int(place.id), .int(Int(place.at)), .int(Int(post.kind.rawValue)), .blob(post.bytes),
        .text(post.name), .text(post.tag), .number(post.member.map { Int(Int64(bitPattern: $0.number)) }))
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

  // MARK: What may be delivered

  /// Says on the disk that what has been written is delivered, or, unless it `isWhole`, what has not, too. It must be said
  /// first.
  func allow(isWhole: Bool) throws(DatabaseError) { try allow(keepsAll && isWhole ? transaction : .max) }

  private func allow(_ number: Int) throws(DatabaseError) {
    if marked == number { return }
    try mark.write(.init(run: run, transaction: number), isLasting: marked == nil || number == .max)
    marked = number
  }

  /// Everything has been written that anybody has heard of.
  func finish() throws(DatabaseError) {
    try database.run("PRAGMA wal_checkpoint(TRUNCATE)")
    let changed = DeliveryMark.changeTime(of: file) ?? 0
    try mark.write(.init(run: run, transaction: transaction, changed: changed), isLasting: true)
  }
}

extension Kept {
  /// That of a room that cannot be read: its numbers are above all that it can have had.
  static var unknown: Kept { Kept(epoch: nothing.epoch, last: Int(WallClock.milliseconds), posts: []) }
}

/// Which numbering a room's messages have.
struct Numbering {
  let epoch: String
  /// The run of the file in which it was certain to continue.
  let run: Int
}

/// What is to be written of one room.
struct Page {
  let room: String
  var numbering: Numbering
  private(set) var posts: [PlacedPost] = []
  private(set) var bytes = 0
  /// Whether it takes the place of all that is there: it has lost its own first messages.
  private(set) var replaces = false

  static let overhead = 256

  init(room: String, _ numbering: Numbering) { (self.room, self.numbering) = (room, numbering) }

  /// What there is of the room if there is nothing else.
  var kept: Kept { Kept(epoch: numbering.epoch, last: posts.last?.place.id ?? 0, posts: posts) }

  mutating func append(_ page: Page) {
    posts += page.posts
    bytes += page.bytes
    if page.replaces { replaces = true }
  }

  mutating func append(_ placed: PlacedPost) {
    posts.append(placed)
    bytes += placed.post.bytes.count + Page.overhead
  }

  /// Forgets the oldest messages, if there are twice as many as the limits let a room keep.
  mutating func trim(messages: Int, bytes limit: Int) {
    guard posts.count > 2 * max(1, messages) || bytes > 2 * limit && posts.count > 1 else { return }
    var first = posts.endIndex - 1
    var kept = posts[first].post.bytes.count + Page.overhead
    while first > 0, posts.count - first < messages {
      let size = posts[first - 1].post.bytes.count + Page.overhead
      guard kept + size <= limit else { break }
      (first, kept) = (first - 1, kept + size)
    }
    posts.removeFirst(first)
    (bytes, replaces) = (kept, true)
  }
}
