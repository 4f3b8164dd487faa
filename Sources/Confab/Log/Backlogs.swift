internal import Synchronization

/// The memory for unread messages in this process: bytes that logs keep for their readers, and messages for single
/// clients.
//
// Slow clients are evicted in Loop/Fanout.swift (messages of a log) and Connection/Writing.swift (messages for a single
// client).
enum Backlogs {
  private static let count = Atomic(0)

  /// The number of bytes, as of the last turn of each event loop. Any thread.
  static var bytes: Int { count.load(ordering: .relaxed) }

  /// Adds bytes that are kept, or subtracts freed ones.
  static func add(_ count: Int) {
    if count != 0 { self.count.add(count, ordering: .relaxed) }
  }
}
