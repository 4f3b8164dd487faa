internal import Synchronization

/// The memory that unread messages take in this process: those that logs keep for their readers, and those for one
/// client alone.
enum Backlogs {
  private static let count = Atomic(0)

  /// The bytes, as of the last turn of each event loop. Any thread.
  static var bytes: Int { count.load(ordering: .relaxed) }

  /// Counts bytes that are kept, or freed.
  static func add(_ count: Int) {
    if count != 0 { self.count.add(count, ordering: .relaxed) }
  }
}
