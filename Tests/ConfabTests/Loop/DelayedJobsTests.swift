import Synchronization
import Testing

@testable import Confab

struct DelayedJobsTests {
  @Test func jobs_come_in_the_order_of_their_times() {
    for count in [0, 1, 2, 3, 10, 1000] {
      let ran = Mutex<[(due: UInt64, index: Int)]>([])
      var jobs = DelayedJobs()
      for index in 0..<count {
        let due = UInt64.random(in: 0..<20)
        jobs.add(due: due) { ran.withLock { $0.append((due, index)) } }
      }
      var now: UInt64 = 0
      while let due = jobs.due {
        #expect(due >= now)
        if due > 0 { #expect(jobs.take(now: due - 1) == nil) }
        now = due
        jobs.take(now: now)?.run()
      }
      let order = ran.withLock { $0 }
      #expect(order.count == count && zip(order, order.dropFirst()).allSatisfy { $0 < $1 })
    }
  }
}
