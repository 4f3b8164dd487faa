internal import Confab

/// Record of the transactions whose messages have been delivered, in a small file beside the database.
///
/// The database may lack delivered messages, because it was restored from an older copy or because the disk was full.
/// The database itself cannot show this. The mark is written before the messages are delivered. It is overwritten in
/// place, which works on a full disk.
@safe struct DeliveryMark: ~Copyable {
  struct Contents: Equatable {
    /// Run of the database to which the mark belongs, see ``HistoryDatabase``.
    let run: Int
    /// Number of the last delivered transaction; `Int.max` if any message may have been delivered.
    let transaction: Int
    /// Change time of the database file in nanoseconds since 1970; 0 while it is open.
    var changed = 0
  }

  /// Maximum delay in ms between the time in the mark and the system's write. A copy of the file has a later change
  /// time.
  private static let maxDelay = 5000
  /// Number of digits of a number.
  private static let width = 19
  private static let numbers = 5
  private static let size = numbers * (width + 1) - 1

  private let file: OverwrittenFile
  /// Inode of the file; 0 if unknown. An open file keeps it.
  private let inode: Int
  private let willWrite: StepHook?

  /// Opens the file, and creates it if necessary.
  init(file: String, _ willWrite: StepHook?) throws(DatabaseError) {
    self.willWrite = willWrite
    self.file = try DeliveryMark.open(file)
    inode = self.file.status?.inode ?? 0
  }

  private static func open(_ path: String) throws(DatabaseError) -> OverwrittenFile {
    guard let file = OverwrittenFile(path) else { throw error("cannot open \(path)") }
    return file
  }

  /// Creates a database's file, if it does not exist, accessible only to its owner. SQLite gives the files beside it
  /// the same permissions.
  static func makeFile(_ file: String) throws(DatabaseError) { try open(file).close() }

  deinit { file.close() }

  /// Reads the mark. Returns nil if the mark is unreadable, or is a copy of a running server's mark: more messages may
  /// have been delivered since the copy.
  func read() -> Contents? {
    guard let bytes = file.read(DeliveryMark.size) else { return nil }
    let numbers = bytes.split(separator: UInt8(ascii: " ")).compactMap { digits in
      digits.count == DeliveryMark.width && digits.allSatisfy { 48...57 ~= $0 }
        ? Int(String(decoding: digits, as: UTF8.self)) : nil
    }
    guard numbers.count == DeliveryMark.numbers else { return nil }
    let value = Contents(run: numbers[0], transaction: numbers[1], changed: numbers[2])
    if value.changed != 0 { return value }
    guard let status = file.status else { return nil }
    let isOriginal = numbers[3] == status.inode && status.changed / 1_000_000 - numbers[4] < DeliveryMark.maxDelay
    return isOriginal ? value : nil
  }

  /// Overwrites the mark.
  ///
  /// - Parameter isLasting: whether the mark must survive a failure of the machine.
  func write(_ value: Contents, isLasting: Bool) throws(DatabaseError) {
    try willWrite?("delivery mark")
    let numbers = [value.run, value.transaction, value.changed, inode, Int(WallClock.milliseconds)]
    let bytes = Array(numbers.map(DeliveryMark.text).joined(separator: " ").utf8)
    guard file.write(bytes, isLasting: isLasting) else { throw DeliveryMark.error("cannot write the delivery mark") }
  }

  private static func text(_ number: Int) -> String {
    let digits = String(max(0, number))
    return String(repeating: "0", count: width - digits.utf8.count) + digits
  }

  private static func error(_ what: String) -> DatabaseError {
    DatabaseError("\(what): \(lastSystemMessage() ?? "unknown reason")")
  }

  /// Returns the change time of a file in nanoseconds, which programs cannot set; nil if the file does not exist.
  static func changeTime(of file: String) -> Int? { FileStatus(at: file)?.changed }
}

/// Hook that is called before each step of a statement and before the mark is written. An error that it throws becomes
/// that step's error. For tests.
typealias StepHook = @Sendable (_ step: String) throws(DatabaseError) -> Void
