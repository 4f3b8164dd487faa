internal import Synchronization

/// The memory that the histories of all rooms take together.
final class HistoryBudget: Sendable {
  private let limit: Int
  private let count = Atomic(0)

  init(limit: Int) { self.limit = limit }

  /// Counts bytes that are taken, or given back.
  func add(_ count: Int) {
    if count != 0 { self.count.add(count, ordering: .relaxed) }
  }

  /// What is taken.
  var bytes: Int { count.load(ordering: .relaxed) }

  /// By how much it is over the limit; 0 if it isn't.
  var excess: Int { max(0, bytes - limit) }
}
