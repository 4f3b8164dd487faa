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
    /// The number of the last transaction of which somebody has heard; `Int.max` if anything may have been delivered.
    let transaction: Int
    /// When the database file was changed last, as the system has it; 0 while it is open.
    var changed = 0

    fileprivate var bytes: [UInt8] { Array([run, transaction, changed].map(Value.text).joined(separator: " ").utf8) }

    fileprivate init?(_ bytes: [UInt8]) {
      let numbers = String(decoding: bytes, as: UTF8.self).split(separator: " ").map { Int($0) }
      guard bytes.count == Value.size, numbers.count == 3, let run = numbers[0], let transaction = numbers[1],
        let changed = numbers[2]
      else { return nil }
      (self.run, self.transaction, self.changed) = (run, transaction, changed)
    }

    init(run: Int, transaction: Int, changed: Int = 0) {
      (self.run, self.transaction, self.changed) = (run, transaction, changed)
    }

    private static func text(_ number: Int) -> String {
      let digits = String(number)
      return String(repeating: "0", count: 19 - digits.count) + digits
    }

    fileprivate static let size = 59
  }

  private let descriptor: CInt
  private let willWrite: StepHook?

  /// Opens the file, or makes it.
  init(file: String, _ willWrite: StepHook?) throws(DatabaseError) {
    self.willWrite = willWrite
    descriptor = unsafe open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    if descriptor < 0 { throw DeliveryMark.error("\(file) cannot be opened") }
  }

  deinit { close(descriptor) }

  /// What it says; nil if it says nothing.
  func read() -> Value? {
    var bytes = [UInt8](repeating: 0, count: Value.size)
    let count = unsafe pread(descriptor, &bytes, bytes.count, 0)
    return Value(Array(bytes.prefix(max(0, count))))
  }

  /// - Parameter isLasting: whether it must be there after the machine has failed.
  func write(_ value: Value, isLasting: Bool) throws(DatabaseError) {
    try willWrite?("delivery mark")
    let bytes = value.bytes
    guard unsafe pwrite(descriptor, bytes, bytes.count, 0) == bytes.count, !isLasting || fdatasync(descriptor) == 0
    else { throw DeliveryMark.error("the delivery mark cannot be written") }
  }

  private static func error(_ what: String) -> DatabaseError {
    DatabaseError("\(what): \(systemMessage(errno) ?? "no reason")")
  }

  /// When a file was changed last, in nanoseconds, which nobody can set; nil if there is none.
  static func changeTime(of file: String) -> Int? {
    var status = stat()
    guard unsafe stat(file, &status) == 0 else { return nil }
    return Int(status.st_ctim.tv_sec) * 1_000_000_000 + Int(status.st_ctim.tv_nsec)
  }
}

/// Called before each step of a statement, and before the mark is written; what it throws is that step's error. For
/// tests.
typealias StepHook = @Sendable (_ step: String) throws(DatabaseError) -> Void
