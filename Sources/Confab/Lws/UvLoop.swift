internal import CLibwebsockets
internal import Glibc
internal import Synchronization

/// A libuv loop with a thread of its own, and the handles that an event loop needs.
///
/// Loop thread only, but for ``wake()`` and ``isCurrent``, and for what comes before ``start``.
@safe final class UvLoop: @unchecked Sendable {
  // @unchecked: as said above.

  /// Allocated and freed by this object; a loop must not move.
  let loop = UnsafeMutablePointer<uv_loop_t>.allocate(capacity: 1)
  private let prepare = UnsafeMutablePointer<uv_prepare_t>.allocate(capacity: 1)
  private let check = UnsafeMutablePointer<uv_check_t>.allocate(capacity: 1)
  private let idle = UnsafeMutablePointer<uv_idle_t>.allocate(capacity: 1)
  private let async = UnsafeMutablePointer<uv_async_t>.allocate(capacity: 1)

  /// The thread that runs the loop; 0 before there is one.
  private let thread = Atomic<UInt>(0)
  private var onStart: () -> Void = {}
  private var onWake: () -> Void = {}
  private var onPolled: () -> Void = {}
  private var beforePoll: () -> Void = {}
  private var onHandlesClosed: () -> Void = {}
  private var onEnd: () -> Void = {}

  init() throws(ConfabError) {
    let failure = unsafe uv_loop_init(loop)
    guard failure == 0 else { throw ConfabError(.engineFailed, "libuv could not make a loop: \(uvMessage(failure))") }
    unsafe uv_prepare_init(loop, prepare)
    unsafe uv_check_init(loop, check)
    unsafe uv_idle_init(loop, idle)
    // The handles refer to this object unretained: they are closed, and the loop has ended, before it is freed.
    let this = unsafe Unmanaged.passUnretained(self).toOpaque()
    unsafe uv_async_init(loop, async) { handle in unsafe UvLoop.of(handle!.pointee.data).onWake() }
    unsafe prepare.pointee.data = this
    unsafe check.pointee.data = this
    unsafe async.pointee.data = this
    unsafe uv_check_start(check) { handle in
      let this = unsafe UvLoop.of(handle!.pointee.data)
      unsafe _ = uv_idle_stop(this.idle)
      this.onPolled()
    }
    unsafe uv_prepare_start(prepare) { handle in
      unsafe UvLoop.of(handle!.pointee.data).beforePoll()
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

  /// Runs the loop on a new thread until ``close()`` and every other handle is closed.
  ///
  /// - Parameters:
  ///   - onStart: called first, on the thread.
  ///   - onWake: called after ``wake()``, once for any number of calls.
  ///   - onPolled: called after each poll, when its sockets have been served.
  ///   - beforePoll: called before each.
  ///   - onHandlesClosed: called when no handle is left, before the loop is closed.
  ///   - onEnd: called last, on the thread, with the loop closed.
  func start(
    onStart: @escaping () -> Void, onWake: @escaping () -> Void, onPolled: @escaping () -> Void,
    beforePoll: @escaping () -> Void, onHandlesClosed: @escaping () -> Void, onEnd: @escaping () -> Void
  ) {
    (self.onStart, self.onWake, self.onPolled, self.beforePoll) = (onStart, onWake, onPolled, beforePoll)
    (self.onHandlesClosed, self.onEnd) = (onHandlesClosed, onEnd)
    // The thread holds a reference, which it gives back when it ends: see run().
    let this = unsafe Unmanaged.passRetained(self).toOpaque()
    var created = uv_thread_t()
    let failure = unsafe uv_thread_create(
      &created, { data in unsafe Unmanaged<UvLoop>.fromOpaque(data!).takeRetainedValue().run() }, this)
    precondition(failure == 0, "no thread can be made: \(uvMessage(failure))")
  }

  private func run() {
    thread.store(UInt(uv_thread_self()), ordering: .relaxed)
    // Nobody joins it: that it has ended is told by onEnd.
    pthread_detach(uv_thread_self())
    onStart()
    closeLoop(onHandlesClosed)
    onEnd()
    (onStart, onWake, onPolled, beforePoll) = ({}, {}, {}, {})
    (onHandlesClosed, onEnd) = ({}, {})
  }

  /// Runs until ``close()`` has been called and every handle is closed. Also for a loop that was never started.
  func closeLoop(_ onHandlesClosed: () -> Void) {
    unsafe uv_run(loop, UV_RUN_DEFAULT)
    onHandlesClosed()
    unsafe uv_run(loop, UV_RUN_DEFAULT)
    let failure = unsafe uv_loop_close(loop)
    precondition(failure == 0, "a handle was left open")
  }

  var isCurrent: Bool {
    thread.load(ordering: .relaxed) == UInt(uv_thread_self())
  }

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

/// Closes a handle of libuv, whichever kind it is. Its memory must stay until the loop has ended.
func closeHandle<Handle>(_ handle: UnsafeMutablePointer<Handle>) {
  unsafe uv_close(UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_handle_t.self), nil)
}

/// libuv's description of an error.
func uvMessage(_ failure: Int32) -> String { unsafe String(cString: uv_strerror(failure)) }
