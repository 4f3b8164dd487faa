internal import Synchronization

/// Total memory of the histories of all rooms.
final class HistoryBudget: Sendable {
  private let limit: Int
  private let count = Atomic(0)

  init(limit: Int) { self.limit = limit }

  /// Adds allocated bytes, or subtracts freed ones.
  func add(_ count: Int) {
    if count != 0 { self.count.add(count, ordering: .relaxed) }
  }

  /// Number of bytes used.
  var bytes: Int { count.load(ordering: .relaxed) }

  /// Number of bytes over the limit, or 0.
  var excess: Int { max(0, bytes - limit) }
}
