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
