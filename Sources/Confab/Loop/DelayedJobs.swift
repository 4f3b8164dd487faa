/// Jobs ordered by due time; jobs with the same time keep the order in which they were added. A binary heap.
struct DelayedJobs {
  struct Job {
    /// Due time in milliseconds of the loop's clock.
    let due: UInt64
    fileprivate let number: UInt64
    let run: @Sendable () -> Void

    fileprivate func isBefore(_ other: Job) -> Bool { (due, number) < (other.due, other.number) }
  }

  private var heap: [Job] = []
  private var count: UInt64 = 0

  /// Due time of the next job; nil if there is none.
  var due: UInt64? { heap.first?.due }

  mutating func add(due: UInt64, _ run: @escaping @Sendable () -> Void) {
    count += 1
    heap.append(Job(due: due, number: count, run: run))
    var index = heap.count - 1
    while index > 0, heap[index].isBefore(heap[(index - 1) / 2]) {
      heap.swapAt(index, (index - 1) / 2)
      index = (index - 1) / 2
    }
  }

  /// Removes and returns the next job if it is due.
  mutating func take(now: UInt64) -> Job? {
    guard let first = heap.first, first.due <= now else { return nil }
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var index = 0
    while true {
      let children = (2 * index + 1...2 * index + 2).filter { $0 < heap.count }
      guard let child = children.min(by: { heap[$0].isBefore(heap[$1]) }), heap[child].isBefore(heap[index]) else {
        return first
      }
      heap.swapAt(index, child)
      index = child
    }
  }
}
