/// The delayed jobs of an event loop, and the timer for the next of them. Loop thread only.
final class TimerQueue {
  private let uv: UvLoop
  private let timer: UvTimer
  private var jobs = DelayedJobs()

  init(on uv: UvLoop) { (self.uv, timer) = (uv, UvTimer(on: uv)) }

  /// Runs `job` at `due`, in milliseconds of the loop's clock.
  func add(_ job: @escaping @Sendable () -> Void, due: UInt64) {
    let isNext = jobs.due.map { due < $0 } ?? true
    jobs.add(due: due, job)
    if isNext { startTimer() }
  }

  private func startTimer() {
    guard let due = jobs.due else { return }
    timer.start(after: .milliseconds(due > uv.now ? due - uv.now : 0)) { [unowned self] in run() }
  }

  private func run() {
    let now = uv.now
    while let job = jobs.take(now: now) { job.run() }
    startTimer()
  }

  /// Drops the jobs, which hold references, perhaps to the loop.
  func end() {
    jobs = DelayedJobs()
    timer.close()
  }
}
