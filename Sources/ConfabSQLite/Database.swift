internal import CSQLite
package import Confab

extension LinkedLibrary {
  package static var sqlite: LinkedLibrary {
    LinkedLibrary(name: "SQLite", version: unsafe String(cString: sqlite3_libversion()))
  }
}

/// A SQLite database, used by one thread at a time.
@safe final class Database {
  // Closed in deinit, after all statements, because they retain the database.
  private let handle: OpaquePointer
  fileprivate let willStep: StepHook?

  /// Opens a file, and creates it if necessary.
  init(file: String, _ willStep: StepHook?) throws(DatabaseError) {
    self.willStep = willStep
    var handle: OpaquePointer?
    let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
    let result = unsafe sqlite3_open_v2(file, &handle, flags, nil)
    guard result == SQLITE_OK, let handle = unsafe handle else {
      let reason = unsafe handle.map { unsafe String(cString: sqlite3_errmsg($0)) }
      let cause = unsafe handle.flatMap { systemMessage(unsafe sqlite3_system_errno($0)) }
      let error = DatabaseError(result, [reason, cause].compactMap { $0 }.joined(separator: ": "))
      unsafe sqlite3_close_v2(handle)
      throw error
    }
    unsafe self.handle = handle
  }

  deinit { unsafe sqlite3_close_v2(handle) }

  /// Whether the file is read-only.
  var isReadOnly: Bool { unsafe sqlite3_db_readonly(handle, "main") == 1 }

  /// Runs a statement once. Returns the first column of its first row, if it is a number.
  @discardableResult
  func run(_ sql: String) throws(DatabaseError) -> Int? {
    let statement = try prepare(sql)
    var number: Int?
    try statement.rows { if number == nil { number = $0.int(0) } }
    return number
  }

  func prepare(_ sql: String) throws(DatabaseError) -> Statement {
    var statement: OpaquePointer?
    try check(unsafe sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil))
    guard let statement = unsafe statement else { preconditionFailure("no statement: \(sql)") }
    return unsafe Statement(statement, self)
  }

  /// Runs `body` in a transaction, which is rolled back after an error.
  func transaction(_ body: () throws(DatabaseError) -> Void) throws(DatabaseError) {
    try run("BEGIN IMMEDIATE")
    do {
      try body()
      try run("COMMIT")
    } catch {
      if isInTransaction { _ = try? run("ROLLBACK") }
      throw error
    }
  }

  /// Whether a transaction is active. Some errors end it.
  var isInTransaction: Bool { unsafe sqlite3_get_autocommit(handle) == 0 }

  fileprivate func check(_ result: CInt) throws(DatabaseError) {
    if result == SQLITE_OK { return }
    throw DatabaseError(result, unsafe String(cString: sqlite3_errmsg(handle)))
  }
}

/// Error of a database operation.
struct DatabaseError: Error, CustomStringConvertible {
  private let code: CInt
  let description: String

  fileprivate init(_ code: CInt, _ message: String) { (self.code, description) = (code, message) }

  /// Creates an error that does not come from SQLite.
  init(_ message: String) { self.init(SQLITE_ERROR, message) }

  /// Whether another connection has locked the database.
  var isBusy: Bool { code & 0xff == SQLITE_BUSY }
}

/// A prepared statement, which can run repeatedly.
@safe final class Statement {
  // Finalized in deinit, before the database is closed.
  private let handle: OpaquePointer
  private let database: Database

  fileprivate init(_ handle: OpaquePointer, _ database: Database) {
    unsafe (self.handle, self.database) = (handle, database)
  }

  deinit { unsafe sqlite3_finalize(handle) }

  enum Argument {
    case int(Int)
    case number(Int?)
    case text(String?)
    case blob([UInt8])
  }

  func run(_ arguments: Argument...) throws(DatabaseError) { try run(arguments) { _ in } }

  /// Calls `body` with each row.
  func rows(_ arguments: Argument..., body: (Row) -> Void) throws(DatabaseError) { try run(arguments, body) }

  private func run(_ arguments: [Argument], _ body: (Row) -> Void) throws(DatabaseError) {
    defer {
      unsafe sqlite3_reset(handle)
      unsafe sqlite3_clear_bindings(handle)
    }
    for (index, value) in arguments.enumerated() { try bind(value, Int32(index + 1)) }
    while true {
      if let willStep = database.willStep { try willStep(sql) }
      let result = unsafe sqlite3_step(handle)
      if result == SQLITE_DONE { return }
      guard result == SQLITE_ROW else { return try database.check(result) }
      body(unsafe Row(statement: handle))
    }
  }

  /// SQL text with the bound values.
  private var sql: String {
    let text = unsafe sqlite3_expanded_sql(handle)
    defer { unsafe sqlite3_free(text) }
    return unsafe text.map { unsafe String(cString: $0) } ?? ""
  }

  private func bind(_ value: Argument, _ index: Int32) throws(DatabaseError) {
    // SQLITE_TRANSIENT: SQLite copies the bytes.
    let transient = unsafe unsafeBitCast(-1, to: sqlite3_destructor_type.self)
    let result =
      switch value {
      case .int(let number), .number(let number?): unsafe sqlite3_bind_int64(handle, index, Int64(number))
      case .number(nil), .text(nil): unsafe sqlite3_bind_null(handle, index)
      case .text(let text?): unsafe sqlite3_bind_text(handle, index, text, -1, transient)
      case .blob(let bytes): unsafe sqlite3_bind_blob64(handle, index, bytes, UInt64(bytes.count), transient)
      }
    try database.check(result)
  }

  /// The current row of a statement. Invalid after the next step.
  @safe struct Row {
    fileprivate let statement: OpaquePointer

    func int(_ column: Int32) -> Int { Int(unsafe sqlite3_column_int64(statement, column)) }

    /// Returns nil for NULL.
    func number(_ column: Int32) -> Int? { isNull(column) ? nil : int(column) }

    func bytes(_ column: Int32) -> [UInt8] {
      let start = unsafe sqlite3_column_blob(statement, column)
      let count = Int(unsafe sqlite3_column_bytes(statement, column))
      return unsafe [UInt8](UnsafeRawBufferPointer(start: start, count: count))
    }

    private func isNull(_ column: Int32) -> Bool { unsafe sqlite3_column_type(statement, column) == SQLITE_NULL }

    func text(_ column: Int32) -> String? {
      isNull(column) ? nil : String(decoding: bytes(column), as: UTF8.self)
    }
  }
}
