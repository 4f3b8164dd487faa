internal import CLibwebsockets
internal import Dispatch
internal import Synchronization

// Jobs that other threads, and the loop itself, give to a loop: those of its callers, and those of actors that live on
// it.

/// Jobs for an event loop. Any thread.
final class Jobs: Sendable {
  private enum Phase {
    case open
    /// The loop runs no more jobs of callers. Those of actors wait until it has ended.
    case closed
    case ended
  }
  private struct State {
    var phase = Phase.open
    var jobs: [Job] = []
  }
  private struct Job {
    let run: @Sendable () -> Void
    /// Whether it must run in any case.
    let isOwed: Bool
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
      state.jobs.append(Job(run: job, isOwed: false))
      // Within the lock, so that the loop is not closed before.
      wake()
      return true
    }
  }

  /// Adds a job that must run in any case, if need be after the loop has ended.
  func addInAnyCase(_ job: @escaping @Sendable () -> Void, wake: () -> Void) {
    state.withLock { state in
      if state.phase == .ended { return afterlife.async(execute: job) }
      state.jobs.append(Job(run: job, isOwed: true))
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

  /// Takes no more jobs of callers. Returns false if that was so before.
  func close() -> Bool {
    state.withLock { state in
      guard state.phase == .open else { return false }
      state.phase = .closed
      return true
    }
  }

  /// Drops the jobs of callers, which the loop is not going to run.
  func discard() { state.withLock { $0.jobs.removeAll { !$0.isOwed } } }

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
    let due = (uv_hrtime() + 999_999) / 1_000_000 + delay.milliseconds
    return execute { self.add(job, due: due) }
  }

  private func add(_ job: @escaping @Sendable () -> Void, due: UInt64) {
    let isNext = delayed.due.map { due < $0 } ?? true
    delayed.add(due: due, job)
    if isNext { awaitDelayed() }
  }

  private func awaitDelayed() {
    guard let due = delayed.due else { return }
    delayTimer.start(after: .milliseconds(due > now ? due - now : 0)) { self.runDelayed() }
  }

  private func runDelayed() {
    let now = now
    while let job = delayed.take(now: now) { job.run() }
    awaitDelayed()
  }
}

/// An actor can live on an event loop, if its `unownedExecutor` is the loop's. It can then call the loop's connections
/// without waiting. A task that prefers the loop, `Task(executorPreference: loop)`, runs there as well.
///
/// ```swift
/// actor Counter {
///   let loop: EventLoop
///   init(on loop: EventLoop) { self.loop = loop }
///   nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
/// }
/// ```
///
/// After the loop has ended, jobs of its actors still run on another thread, one at a time and in their order.
/// ``isCurrent`` is true on that thread meanwhile.
extension EventLoop: SerialExecutor, TaskExecutor {
  /// Runs a job of an actor, or task, that lives on the loop. Any thread.
  public func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    let (serial, task) = unsafe (asUnownedSerialExecutor(), asUnownedTaskExecutor())
    jobs.addInAnyCase {
      // Jobs that run after the end are on another thread.
      let isElsewhere = !self.uv.isCurrent
      if isElsewhere { self.uv.enterThread() }
      defer { if isElsewhere { self.uv.leaveThread() } }
      unsafe job.runSynchronously(isolatedTo: serial, taskExecutor: task)
    } wake: {
      uv.wake()
    }
  }

  public func asUnownedSerialExecutor() -> UnownedSerialExecutor { unsafe UnownedSerialExecutor(ordinary: self) }

  public func checkIsolated() { preconditionCurrent() }

  public func isIsolatingCurrentContext() -> Bool? { isCurrent }
}
