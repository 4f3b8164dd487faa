internal import CLibwebsockets

/// Runs a ``UvLoop`` in turns of the host's libuv loop, which sees it as one descriptor and a timer. The host's loop
/// contains no handles of libwebsockets, and stopping works as it does on a separate thread.
///
/// Only on the thread of the host's loop, or while that loop does not run.
@safe final class HostLoop {
  /// A `uv_loop_t`. The host keeps it until everything in it is closed.
  @safe struct Pointer: @unchecked Sendable {
    fileprivate let loop: UnsafeMutablePointer<uv_loop_t>
    init(_ loop: UnsafeMutableRawPointer) { unsafe self.loop = loop.assumingMemoryBound(to: uv_loop_t.self) }
  }

  private let host: UnsafeMutablePointer<uv_loop_t>
  private let uv: UvLoop
  // Freed with this object, when the host's loop has closed all of them.
  private let poll = UnsafeMutablePointer<uv_poll_t>.allocate(capacity: 1)
  private let timer = UnsafeMutablePointer<uv_timer_t>.allocate(capacity: 1)
  private let idle = UnsafeMutablePointer<uv_idle_t>.allocate(capacity: 1)
  private let prepare = UnsafeMutablePointer<uv_prepare_t>.allocate(capacity: 1)
  private var whenClosed: () -> Void = {}

  init(_ host: Pointer, _ uv: UvLoop) {
    unsafe self.host = unsafe host.loop
    self.uv = uv
  }

  deinit {
    unsafe poll.deallocate()
    unsafe timer.deallocate()
    unsafe idle.deallocate()
    unsafe prepare.deallocate()
  }

  /// Begins. `whenClosed` is called last, in the host's loop, when all handles of this object are closed.
  func start(_ events: UvLoop.Events, whenClosed: @escaping () -> Void) {
    self.whenClosed = whenClosed
    // The handles share one reference, which is released when the last of them is closed: see close().
    let this = unsafe Unmanaged.passRetained(self).toOpaque()
    unsafe uv_poll_init(host, poll, uv.descriptor)
    unsafe uv_timer_init(host, timer)
    unsafe uv_idle_init(host, idle)
    unsafe uv_prepare_init(host, prepare)
    unsafe poll.pointee.data = this
    unsafe timer.pointee.data = this
    unsafe idle.pointee.data = this
    unsafe prepare.pointee.data = this
    unsafe uv_poll_start(poll, Int32(UV_READABLE.rawValue)) { handle, _, _ in
      unsafe HostLoop.of(handle!.pointee.data).turn()
    }
    unsafe uv_prepare_start(prepare) { handle in
      let this = unsafe HostLoop.of(handle!.pointee.data)
      this.schedule(this.uv.willPoll())
    }
    uv.begin(events)
    schedule(0)
  }

  private static func of(_ data: UnsafeMutableRawPointer?) -> HostLoop {
    unsafe Unmanaged<HostLoop>.fromOpaque(data!).takeUnretainedValue()
  }

  private func turn() {
    if !uv.turn() { close() }
  }

  private func schedule(_ milliseconds: Int32) {
    unsafe uv_timer_stop(timer)
    unsafe uv_idle_stop(idle)
    if milliseconds > 0 {
      unsafe uv_timer_start(
        timer, { handle in unsafe HostLoop.of(handle!.pointee.data).turn() }, UInt64(milliseconds), 0)
    } else if milliseconds == 0 {
      // A timer would keep the host from other work: libuv runs timers until none is due.
      unsafe uv_idle_start(idle) { handle in unsafe HostLoop.of(handle!.pointee.data).turn() }
    }
  }

  private func close() {
    // Stops before the descriptor is closed, and its number reused.
    unsafe uv_poll_stop(poll)
    unsafe closeHandle(prepare)
    uv.end()
    unsafe closeHandle(idle)
    // The timer's callback may come before the idle handle's. A handle that is closed within a callback comes last.
    unsafe closeHandle(timer) { handle in
      let this = unsafe HostLoop.of(handle!.pointee.data)
      unsafe closeHandle(this.poll) { handle in
        let this = unsafe Unmanaged<HostLoop>.fromOpaque(handle!.pointee.data).takeRetainedValue()
        this.whenClosed()
      }
    }
  }
}
