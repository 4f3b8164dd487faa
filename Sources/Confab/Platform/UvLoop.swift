internal import CLibwebsockets
internal import Synchronization

/// A libuv loop and the handles that an event loop needs. It runs on its own thread, or in turns of a host: another
/// libuv loop (HostLoop.swift), or an event loop of any kind (Server+Polled.swift).
///
/// Loop thread only, except ``wake()``, ``isCurrent``, and calls before ``start(_:name:)``.
@safe final class UvLoop: @unchecked Sendable {
  // @unchecked: used on the loop's thread only, with these exceptions.

  /// Allocated and freed by this object; a loop must not move.
  let loop = UnsafeMutablePointer<uv_loop_t>.allocate(capacity: 1)
  private let prepare = UnsafeMutablePointer<uv_prepare_t>.allocate(capacity: 1)
  private let check = UnsafeMutablePointer<uv_check_t>.allocate(capacity: 1)
  private let idle = UnsafeMutablePointer<uv_idle_t>.allocate(capacity: 1)
  private let async = UnsafeMutablePointer<uv_async_t>.allocate(capacity: 1)

  /// The thread that runs the loop; 0 if there is none.
  private let thread = Atomic<UInt>(0)
  private var events = Events()
  /// Name of the thread that ``start(_:name:)`` makes, at most 15 bytes.
  private var threadName = ""

  /// The functions that the loop calls on its thread.
  struct Events {
    /// Called first.
    var started: () -> Void = {}
    /// Called after ``UvLoop/wake()``, once for any number of calls.
    var woken: () -> Void = {}
    /// Called after each poll, when its sockets have been served.
    var polled: () -> Void = {}
    /// Called before each poll.
    var willPoll: () -> Void = {}
    /// Called when all handles are closed, before the loop is closed.
    var handlesClosed: () -> Void = {}
    /// Called last, when the loop is closed.
    var ended: () -> Void = {}
  }

  init() throws(ConfabError) {
    let failure = unsafe uv_loop_init(loop)
    guard failure == 0 else { throw ConfabError(.libraryFailed, "libuv could not make a loop: \(uvMessage(failure))") }
    unsafe uv_prepare_init(loop, prepare)
    unsafe uv_check_init(loop, check)
    unsafe uv_idle_init(loop, idle)
    // The handles refer to this object unretained: they are closed, and the loop has ended, before it is freed.
    let this = unsafe Unmanaged.passUnretained(self).toOpaque()
    unsafe uv_async_init(loop, async) { handle in unsafe UvLoop.of(handle!.pointee.data).events.woken() }
    unsafe prepare.pointee.data = this
    unsafe check.pointee.data = this
    unsafe async.pointee.data = this
    unsafe uv_check_start(check) { handle in
      let this = unsafe UvLoop.of(handle!.pointee.data)
      unsafe _ = uv_idle_stop(this.idle)
      this.events.polled()
    }
    unsafe uv_prepare_start(prepare) { handle in
      unsafe UvLoop.of(handle!.pointee.data).events.willPoll()
    }
  }

  private static func of(_ data: UnsafeMutableRawPointer?) -> UvLoop {
    unsafe Unmanaged<UvLoop>.fromOpaque(data!).takeUnretainedValue()
  }

  deinit {
    unsafe loop.deallocate()
    unsafe prepare.deallocate()
    unsafe check.deallocate()
    unsafe idle.deallocate()
    unsafe async.deallocate()
  }

  // MARK: Running

  /// Runs the loop on a new thread, named `name`, until ``close()`` has been called and every other handle is closed.
  /// The program's signals are blocked on that thread. Returns false if no thread can be made; no function of `events`
  /// has then been called.
  func start(_ events: Events, name: String) -> Bool {
    self.events = events
    threadName = name
    let signals = SignalMask.blockingProgramSignals()
    defer { signals.restore() }
    // The thread holds a reference, which it releases when it ends: see run().
    let this = unsafe Unmanaged.passRetained(self).toOpaque()
    let failure = unsafe shim_start_thread(
      { data in unsafe Unmanaged<UvLoop>.fromOpaque(data!).takeRetainedValue().run() }, this)
    if failure == 0 { return true }
    self.events = Events()
    unsafe Unmanaged<UvLoop>.fromOpaque(this).release()
    return false
  }

  private func run() {
    // The thread is not joined: events.ended reports its end.
    shim_detach_thread()
    unsafe shim_name_thread(threadName)
    runHere(events)
  }

  /// Runs the loop on the calling thread, until ``close()`` has been called and every handle is closed.
  func runHere(_ events: Events) {
    begin(events)
    end()
  }

  /// Begins to run the loop in turns of a host, which calls ``willPoll()``, polls ``descriptor``, and calls ``turn()``.
  /// At the end, the host calls ``end()``.
  func begin(_ events: Events) {
    self.events = events
    enterThread()
    events.started()
  }

  /// Runs one non-blocking iteration. Returns false once all handles are closed and only ``end()`` is left.
  func turn() -> Bool {
    enterThread()
    isTurning = true
    defer { isTurning = false }
    return unsafe uv_run(loop, UV_RUN_NOWAIT) != 0
  }
  /// Whether ``turn()`` is running.
  private(set) var isTurning = false

  /// Called when the host is about to poll. Writes the output of the host's own callbacks. Returns the delay until the
  /// next turn in ms, -1 for none. The turn is due earlier if ``descriptor`` is readable.
  func willPoll() -> Int32 {
    enterThread()
    unsafe uv_update_time(loop)
    events.willPoll()
    return unsafe shim_has_new_watchers(loop) != 0 ? 0 : uv_backend_timeout(loop)
  }

  /// Readable when ``turn()`` has something to do.
  var descriptor: Int32 { unsafe uv_backend_fd(loop) }

  func end() {
    closeLoop(events.handlesClosed)
    let ended = events.ended
    events = Events()
    ended()
    leaveThread()
  }

  /// Runs until ``close()`` has been called and every handle is closed. Also for a loop that was never started.
  func closeLoop(_ onHandlesClosed: () -> Void) {
    unsafe uv_run(loop, UV_RUN_DEFAULT)
    onHandlesClosed()
    unsafe uv_run(loop, UV_RUN_DEFAULT)
    let failure = unsafe uv_loop_close(loop)
    precondition(failure == 0, "a handle was left open")
  }

  /// Time in milliseconds of a monotonic clock, as of the beginning of the turn.
  var now: UInt64 { unsafe uv_now(loop) }

  /// Whether the caller is on the loop's thread.
  var isCurrent: Bool { thread.load(ordering: .relaxed) == shim_thread(uv_thread_self()) }

  /// Notes that the calling thread does not run the loop any more.
  func leaveThread() {
    _ = thread.compareExchange(expected: shim_thread(uv_thread_self()), desired: 0, ordering: .relaxed)
  }

  /// Notes that the calling thread runs the loop from now on.
  func enterThread() { thread.store(shim_thread(uv_thread_self()), ordering: .relaxed) }

  /// Wakes the loop. Any thread, until ``close()``.
  func wake() { unsafe _ = uv_async_send(async) }

  /// Makes the next poll return at once.
  func pollWithoutBlocking() {
    unsafe _ = uv_idle_start(idle) { _ in }
  }

  /// Closes this object's handles. The loop ends when all others are closed as well.
  func close() {
    unsafe closeHandle(prepare)
    unsafe closeHandle(check)
    unsafe closeHandle(idle)
    unsafe closeHandle(async)
  }
}

/// Nanoseconds of a monotonic clock.
func monotonicTime() -> UInt64 { uv_hrtime() }

/// Number of cores that this process may use.
let availableCores = Int(uv_available_parallelism())

/// Closes a libuv handle of any kind. Its memory must stay valid until `whenClosed` is called, or the loop has ended.
func closeHandle<Handle>(_ handle: UnsafeMutablePointer<Handle>, _ whenClosed: uv_close_cb? = nil) {
  unsafe uv_close(UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_handle_t.self), whenClosed)
}

/// Returns libuv's description of an error.
func uvMessage(_ failure: Int32) -> String { unsafe String(cString: uv_strerror(failure)) }
