internal import CLibwebsockets
internal import Dispatch
internal import Synchronization

// What other threads, and the loop itself, have it do: jobs of its callers, and those of actors that live on it.

/// Jobs for an event loop. Any thread.
final class Jobs: Sendable {
  private enum Phase {
    case open
    /// The loop does no job for callers any more. Those of actors wait until it has ended.
    case closed
    case ended
  }
  private struct State {
    var phase = Phase.open
    var jobs: [Job] = []
  }
  private struct Job {
    let run: @Sendable () -> Void
    /// Whether it must be done in any case.
    let isOwed: Bool
  }
  private let state = Mutex(State())
  /// The process that has the loop.
  let origin = OriginProcess()
  /// Does actors' jobs when the loop has ended.
  private let afterlife = DispatchQueue(label: "confab.ended-event-loop")

  /// Adds a job, and wakes the loop by `wake`. False when the loop takes none any more.
  func add(_ job: @escaping @Sendable () -> Void, wake: () -> Void) -> Bool {
    guard origin.isCurrent else { return false }
    return state.withLock { state in
      guard state.phase == .open else { return false }
      state.jobs.append(Job(run: job, isOwed: false))
      // Within the lock: the loop is not closed before.
      wake()
      return true
    }
  }

  /// Adds a job that must be done in any case.
  func addInAnyCase(_ job: @escaping @Sendable () -> Void, wake: () -> Void) {
    state.withLock { state in
      if state.phase == .ended { return afterlife.async(execute: job) }
      state.jobs.append(Job(run: job, isOwed: true))
      if state.phase == .open { wake() }
    }
  }

  /// What there is, once. Loop thread only.
  func run() {
    let jobs = state.withLock { state in
      defer { state.jobs = [] }
      return state.jobs
    }
    for job in jobs { job.run() }
  }

  /// Takes no more jobs of callers. False if that has been so before.
  func close() -> Bool {
    state.withLock { state in
      guard state.phase == .open else { return false }
      state.phase = .closed
      return true
    }
  }

  /// Forgets jobs of callers that nobody is going to do.
  func discard() { state.withLock { $0.jobs.removeAll { !$0.isOwed } } }

  /// The loop has ended: what there is is done elsewhere, in its order.
  func end() {
    state.withLock { state in
      state.phase = .ended
      for job in state.jobs { afterlife.async(execute: job.run) }
      state.jobs = []
    }
  }
}

extension EventLoop {
  /// The process that has the loop.
  package var origin: OriginProcess { jobs.origin }

  /// Runs `job` on the loop's thread, in the order of the calls, in a turn to come. Any thread.
  ///
  /// - Returns: false when the loop has ended, and in a child of `fork()`: the job is then not run.
  @discardableResult
  public func execute(_ job: @escaping @Sendable () -> Void) -> Bool { jobs.add(job) { uv.wake() } }

  /// Runs `job` on the loop's thread after `delay`, which is rounded up to milliseconds. Any thread.
  ///
  /// - Returns: false when the loop has ended. A job whose time has not come when it ends is not run.
  @discardableResult
  public func execute(after delay: Duration, _ job: @escaping @Sendable () -> Void) -> Bool {
    // The loop's clock is that of libuv, cut to milliseconds.
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

/// An actor can live on an event loop: its `unownedExecutor` is the loop's, and it may then call the loop's connections
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
/// When the loop has ended, jobs of its actors are still done, one at a time and in their order, on another thread, for
/// which ``isCurrent`` is true then.
extension EventLoop: SerialExecutor, TaskExecutor {
  /// Runs a job of an actor, or task, that lives on the loop. Any thread.
  public func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    let (serial, task) = unsafe (asUnownedSerialExecutor(), asUnownedTaskExecutor())
    jobs.addInAnyCase {
      // What is done after the end has another thread.
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
