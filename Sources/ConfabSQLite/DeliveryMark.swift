internal import Confab
internal import Glibc

/// How much of a database has been delivered, in a small file beside it.
///
/// The database alone cannot tell whether messages have been delivered that it does not have: it may be an older copy
/// that somebody has put back, or the disk was full. The mark is written before anybody gets such a message. It is
/// overwritten in place, which a full disk allows.
@safe struct DeliveryMark: ~Copyable {
  struct Value: Equatable {
    /// The run of the database that it is about: ``HistoryFile``.
    let run: Int
    /// The number of the last transaction that has been delivered; `Int.max` if anything may have been delivered.
    let transaction: Int
    /// The change time of the database file, in nanoseconds since 1970; 0 while it is open.
    var changed = 0
  }

  /// How long after the time in the mark the system may have written it, in milliseconds. A copy is younger.
  private static let maxDelay = 5000
  /// Digits of a number.
  private static let width = 19
  private static let numbers = 5
  private static let size = numbers * (width + 1) - 1

  private let descriptor: CInt
  private let willWrite: StepHook?

  /// Opens the file, or makes it.
  init(file: String, _ willWrite: StepHook?) throws(DatabaseError) {
    self.willWrite = willWrite
    descriptor = try DeliveryMark.open(file)
  }

  /// Opens a file for its owner alone, or makes it; it keeps the permissions that it has.
  private static func open(_ file: String) throws(DatabaseError) -> CInt {
    let descriptor = unsafe Glibc.open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    if descriptor < 0 { throw error("\(file) cannot be opened") }
    return descriptor
  }

  /// Makes a database's file, if there is none, for its owner alone. SQLite gives the files beside it the same permissions.
  static func makeFile(_ file: String) throws(DatabaseError) { close(try open(file)) }

  deinit { close(descriptor) }

  /// Returns what it says. Nil if it cannot be read, and if it is a copy of the mark of a running server: then messages
  /// may have been delivered since.
  func read() -> Value? {
    var bytes = [UInt8](repeating: 0, count: DeliveryMark.size)
    guard unsafe pread(descriptor, &bytes, bytes.count, 0) == bytes.count else { return nil }
    let numbers = bytes.split(separator: UInt8(ascii: " ")).compactMap { digits in
      digits.count == DeliveryMark.width && digits.allSatisfy { 48...57 ~= $0 }
        ? Int(String(decoding: digits, as: UTF8.self)) : nil
    }
    guard numbers.count == DeliveryMark.numbers else { return nil }
    let value = Value(run: numbers[0], transaction: numbers[1], changed: numbers[2])
    guard let status, value.changed == 0 else { return value }
    let isOriginal = numbers[3] == status.inode && status.changed / 1_000_000 - numbers[4] < DeliveryMark.maxDelay
    return isOriginal ? value : nil
  }

  /// Replaces what it says.
  ///
  /// - Parameter isLasting: whether it must be there after the machine has failed.
  func write(_ value: Value, isLasting: Bool) throws(DatabaseError) {
    try willWrite?("delivery mark")
    let numbers = [value.run, value.transaction, value.changed, status?.inode ?? 0, Int(WallClock.milliseconds)]
    let bytes = Array(numbers.map(DeliveryMark.text).joined(separator: " ").utf8)
    guard unsafe pwrite(descriptor, bytes, bytes.count, 0) == bytes.count, !isLasting || fdatasync(descriptor) == 0
    else { throw DeliveryMark.error("the delivery mark cannot be written") }
  }

  private static func text(_ number: Int) -> String {
    let digits = String(max(0, number))
    return String(repeating: "0", count: width - digits.utf8.count) + digits
  }

  /// Which file it is, and its change time, in nanoseconds since 1970. A copy is another file, or has another time.
  private var status: (inode: Int, changed: Int)? {
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else { return nil }
    return (Int(truncatingIfNeeded: status.st_ino & UInt(Int.max)), DeliveryMark.changeTime(status))
  }

  private static func error(_ what: String) -> DatabaseError {
    DatabaseError("\(what): \(systemMessage(errno) ?? "no reason")")
  }

  /// When a file was changed last, in nanoseconds, which nobody can set; nil if there is none.
  static func changeTime(of file: String) -> Int? {
    var status = stat()
    guard unsafe stat(file, &status) == 0 else { return nil }
    return changeTime(status)
  }

  private static func changeTime(_ status: stat) -> Int {
    Int(status.st_ctim.tv_sec) * 1_000_000_000 + Int(status.st_ctim.tv_nsec)
  }
}

/// Called before each step of a statement, and before the mark is written; what it throws is that step's error. For
/// tests.
typealias StepHook = @Sendable (_ step: String) throws(DatabaseError) -> Void
