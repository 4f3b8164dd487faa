internal import CLibwebsockets
internal import Glibc
internal import Synchronization

/// A libuv loop and the handles that an event loop needs. It runs on a thread of its own, or in turns of another libuv
/// loop, see HostLoop.swift.
///
/// Loop thread only, but for ``wake()`` and ``isCurrent``, and for what comes before ``start(_:)``.
@safe final class UvLoop: @unchecked Sendable {
  // @unchecked: as said above.

  /// Allocated and freed by this object; a loop must not move.
  let loop = UnsafeMutablePointer<uv_loop_t>.allocate(capacity: 1)
  private let prepare = UnsafeMutablePointer<uv_prepare_t>.allocate(capacity: 1)
  private let check = UnsafeMutablePointer<uv_check_t>.allocate(capacity: 1)
  private let idle = UnsafeMutablePointer<uv_idle_t>.allocate(capacity: 1)
  private let async = UnsafeMutablePointer<uv_async_t>.allocate(capacity: 1)

  /// The thread that runs the loop; 0 while there is none.
  private let thread = Atomic<UInt>(0)
  private var events = Events()
  /// Of the thread that ``start(_:name:)`` makes; at most 15 bytes.
  private var threadName = ""

  /// What the loop calls, on its thread.
  struct Events {
    /// First.
    var started: () -> Void = {}
    /// After ``UvLoop/wake()``, once for any number of calls.
    var woken: () -> Void = {}
    /// After each poll, when its sockets have been served.
    var polled: () -> Void = {}
    /// Before each poll.
    var willPoll: () -> Void = {}
    /// When no handle is left, before the loop is closed.
    var handlesClosed: () -> Void = {}
    /// Last, with the loop closed.
    var ended: () -> Void = {}
  }

  init() throws(ConfabError) {
    let failure = unsafe uv_loop_init(loop)
    guard failure == 0 else { throw ConfabError(.engineFailed, "libuv could not make a loop: \(uvMessage(failure))") }
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

  /// Runs the loop on a new thread, named `name`, until ``close()`` and every other handle is closed. The program's signals
  /// are blocked there. False if no thread can be made: nothing has been called then.
  func start(_ events: Events, name: String) -> Bool {
    self.events = events
    threadName = name
    let signals = SignalMask.blockingProgramSignals()
    defer { signals.restore() }
    // The thread holds a reference, which it gives back when it ends: see run().
    let this = unsafe Unmanaged.passRetained(self).toOpaque()
    var created = uv_thread_t()
    let failure = unsafe uv_thread_create(
      &created, { data in unsafe Unmanaged<UvLoop>.fromOpaque(data!).takeRetainedValue().run() }, this)
    if failure == 0 { return true }
    self.events = Events()
    unsafe Unmanaged<UvLoop>.fromOpaque(this).release()
    return false
  }

  private func run() {
    // Nobody joins it: that it has ended is told by events.ended.
    pthread_detach(uv_thread_self())
    unsafe shim_name_thread(threadName)
    runHere(events)
  }

  /// The same on the calling thread.
  func runHere(_ events: Events) {
    begin(events)
    end()
  }

  /// The same in turns of a loop of somebody else's, until then: it calls ``turn()``.
  func begin(_ events: Events) {
    self.events = events
    enterThread()
    events.started()
  }

  /// Does what is to be done now, without waiting. Nil when nothing is left to be done but ``end()``; otherwise in how
  /// many milliseconds it wants its next turn, -1 being never, if its descriptor is not readable before.
  func turn() -> Int32? {
    enterThread()
    guard unsafe uv_run(loop, UV_RUN_NOWAIT) != 0 else { return nil }
    // The host polls next. A loop that runs by itself would prepare to poll now.
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

  var isCurrent: Bool { thread.load(ordering: .relaxed) == UInt(uv_thread_self()) }

  /// The calling thread, if it was the loop's, is so no more.
  func leaveThread() {
    _ = thread.compareExchange(expected: UInt(uv_thread_self()), desired: 0, ordering: .relaxed)
  }

  /// The calling thread is the loop's from now on.
  func enterThread() { thread.store(UInt(uv_thread_self()), ordering: .relaxed) }

  /// Any thread, until ``close()``.
  func wake() { unsafe _ = uv_async_send(async) }

  /// Lets the next poll return at once.
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

/// The cores that this process may use.
let availableCores = Int(uv_available_parallelism())

/// Closes a handle of libuv, whichever kind it is. Its memory must stay until `whenClosed` is called, or the loop has
/// ended.
func closeHandle<Handle>(_ handle: UnsafeMutablePointer<Handle>, _ whenClosed: uv_close_cb? = nil) {
  unsafe uv_close(UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_handle_t.self), whenClosed)
}

/// libuv's description of an error.
func uvMessage(_ failure: Int32) -> String { unsafe String(cString: uv_strerror(failure)) }
