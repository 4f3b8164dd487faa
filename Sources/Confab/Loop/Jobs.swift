internal import Dispatch
internal import Synchronization

// Jobs for a loop, from other threads and from the loop itself: jobs of callers, and jobs of actors that live on the
// loop.

/// Jobs for an event loop. Any thread.
final class Jobs: Sendable {
  private enum Phase {
    case open
    /// The loop runs no more jobs of callers. Jobs of actors wait until it has ended.
    case closed
    case ended
  }
  private struct State {
    var phase = Phase.open
    var jobs: [Job] = []
  }
  private struct Job {
    let run: @Sendable () -> Void
    /// Whether the job must run even if the loop has ended.
    let mustRun: Bool
  }
  private let state = Mutex(State())
  /// The process that the loop belongs to.
  let origin = OriginProcess()
  /// Runs the jobs of actors after the loop has ended.
  private let afterlife = DispatchQueue(label: "confab.ended-event-loop")

  /// Adds a job, and calls `wake`. Returns false if the loop takes no more jobs.
  func add(_ job: @escaping @Sendable () -> Void, wake: () -> Void) -> Bool {
    guard origin.isCurrent else { return false }
    return state.withLock { state in
      guard state.phase == .open else { return false }
      state.jobs.append(Job(run: job, mustRun: false))
      // The loop is woken within the lock, so that it is not closed before.
      wake()
      return true
    }
  }

  /// Adds a job that must run in any case, if need be after the loop has ended.
  func addInAnyCase(_ job: @escaping @Sendable () -> Void, wake: () -> Void) {
    state.withLock { state in
      if state.phase == .ended { return afterlife.async(execute: job) }
      state.jobs.append(Job(run: job, mustRun: true))
      if state.phase == .open { wake() }
    }
  }

  /// Runs the pending jobs, once. Loop thread only.
  func run() {
    let jobs = state.withLock { state in
      defer { state.jobs = [] }
      return state.jobs
    }
    for job in jobs { job.run() }
  }

  /// Accepts no more jobs of callers. Returns false if the queue was closed before.
  func close() -> Bool {
    state.withLock { state in
      guard state.phase == .open else { return false }
      state.phase = .closed
      return true
    }
  }

  /// Drops the jobs of callers, which the loop is not going to run.
  func discard() { state.withLock { $0.jobs.removeAll { !$0.mustRun } } }

  /// Called when the loop has ended. The pending jobs run elsewhere, in their order.
  func end() {
    state.withLock { state in
      state.phase = .ended
      for job in state.jobs { afterlife.async(execute: job.run) }
      state.jobs = []
    }
  }
}

extension EventLoop {
  /// The process that the loop belongs to.
  package var origin: OriginProcess { jobs.origin }

  /// Runs `job` on the loop's thread in a later turn. Jobs run in the order of the calls. Any thread.
  ///
  /// - Returns: false if the loop has ended, or in a child process of `fork()`. The job is then not run.
  @discardableResult
  public func execute(_ job: @escaping @Sendable () -> Void) -> Bool { jobs.add(job) { uv.wake() } }

  /// Runs `job` on the loop's thread after `delay`, rounded up to milliseconds. Any thread.
  ///
  /// - Returns: false if the loop has ended. A job that is not due when the loop ends is not run.
  @discardableResult
  public func execute(after delay: Duration, _ job: @escaping @Sendable () -> Void) -> Bool {
    // The loop's clock is libuv's, rounded down to milliseconds.
    let due = (monotonicTime() + 999_999) / 1_000_000 + delay.milliseconds
    return execute { self.timers.add(job, due: due) }
  }
}
