/// Tables of a history, and its file format.
enum Schema {
  /// SQLite's application id of Confab's databases: "Cnfb".
  private static let application = 0x436E_6662
  private static let version = 4

  /// Rejects databases of other applications, and files that are read-only or from a newer version.
  static func check(_ database: Database) throws(DatabaseError) {
    if database.isReadOnly { throw DatabaseError("it is read-only") }
    guard try database.run("SELECT count(*) FROM sqlite_schema") ?? 0 > 0 else { return }
    guard try database.run("PRAGMA application_id") == application else {
      throw DatabaseError("it is a database, but not of Confab")
    }
    guard try database.run("PRAGMA user_version") ?? 0 <= version else {
      throw DatabaseError("it was written by a newer version")
    }
  }

  /// Creates the tables, or upgrades the tables of an older version. In a transaction.
  static func update(_ database: Database) throws(DatabaseError) {
    switch try database.run("PRAGMA user_version") {
    case 0: for sql in tables { try database.run(sql) }
    case 1: for sql in fromFirst + fromSecond + fromThird { try database.run(sql) }
    case 2: for sql in fromSecond + fromThird { try database.run(sql) }
    case 3: for sql in fromThird { try database.run(sql) }
    default: return
    }
    // A run that does not match any mark.
    try database.run("INSERT OR IGNORE INTO runs VALUES (0, 0, 0)")
    try database.run("PRAGMA application_id = \(application)")
    try database.run("PRAGMA user_version = \(version)")
  }

  private static let runs =
    "CREATE TABLE runs (id INTEGER PRIMARY KEY, run INTEGER NOT NULL, writes INTEGER NOT NULL) STRICT"

  private static let tables = [
    """
    CREATE TABLE rooms (
      id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, epoch TEXT NOT NULL, last INTEGER NOT NULL,
      run INTEGER NOT NULL, at INTEGER NOT NULL) STRICT
    """,
    "CREATE INDEX rooms_at ON rooms (at)",
    """
    CREATE TABLE messages (
      room INTEGER NOT NULL, id INTEGER NOT NULL, at INTEGER NOT NULL, kind INTEGER NOT NULL, bytes BLOB NOT NULL,
      author TEXT, tag TEXT, member INTEGER, target INTEGER, PRIMARY KEY (room, id)) STRICT
    """,
    targets, runs, restrictions,
  ]

  /// Index of the changes of each message.
  private static let targets = "CREATE INDEX messages_target ON messages (room, target, id) WHERE target IS NOT NULL"

  /// The mutes, bans and kicks, as JSON. `until` is the time at which a restriction ends, in milliseconds since 1970;
  /// null means never.
  private static let restrictions =
    "CREATE TABLE restrictions (id TEXT PRIMARY KEY, until INTEGER, restriction TEXT NOT NULL) STRICT"

  /// The first version stored tags without their member, and had no mark.
  private static let fromFirst = ["ALTER TABLE messages ADD COLUMN member INTEGER", "DROP TABLE runs", runs]

  /// The second version had no changes of messages.
  private static let fromSecond = ["ALTER TABLE messages ADD COLUMN target INTEGER", targets]

  /// The third version had no restrictions.
  private static let fromThird = [restrictions]
}
