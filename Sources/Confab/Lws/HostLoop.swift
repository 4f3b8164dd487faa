internal import CLibwebsockets

extension Server {
  /// A server in a libuv loop of yours, beside what else is done there: it has one event loop then, whatever
  /// ``Configuration/loops`` says, and no thread. It lives in yours from ``start()``, which is to be called on the thread
  /// that runs it, or while nobody does, until it has stopped.
  ///
  /// - Parameters:
  ///   - configuration: every setting.
  ///   - loop: a `uv_loop_t *`. It must not be closed, nor freed, before ``whenStopped(_:)`` has told that the server has
  ///     stopped; when it runs out of other work, `uv_run` returns then.
  ///   - makeHandler: called by ``start()``, once.
  public convenience init(
    _ configuration: Configuration = Configuration(), onUvLoop loop: UnsafeMutableRawPointer,
    handler makeHandler: @escaping @Sendable (EventLoop) -> any Handler
  ) throws(ConfabError) {
    var configuration = configuration
    configuration.loops = 1
    try self.init(configuration, host: unsafe HostLoop.Pointer(loop), handler: makeHandler)
  }
}

/// Runs a ``UvLoop`` in turns of a libuv loop of somebody else's, which sees it as one descriptor and a timer. So
/// nothing of libwebsockets is in the host's loop, and ending is the same as on a thread of its own.
///
/// On the thread of the host's loop only, or while that does not run.
@safe final class HostLoop {
  /// A `uv_loop_t`, which the host keeps until everything in it is closed.
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
  private var whenClosed: () -> Void = {}

  init(_ host: Pointer, _ uv: UvLoop) {
    unsafe self.host = unsafe host.loop
    self.uv = uv
  }

  deinit {
    unsafe poll.deallocate()
    unsafe timer.deallocate()
    unsafe idle.deallocate()
  }

  /// Begins. `whenClosed` is called last, in the host's loop, when nothing of this is left in it.
  func start(_ events: UvLoop.Events, whenClosed: @escaping () -> Void) {
    self.whenClosed = whenClosed
    // The handles hold one reference together, which is given back when the last is closed: see close().
    let this = unsafe Unmanaged.passRetained(self).toOpaque()
    unsafe uv_poll_init(host, poll, uv.descriptor)
    unsafe uv_timer_init(host, timer)
    unsafe uv_idle_init(host, idle)
    unsafe poll.pointee.data = this
    unsafe timer.pointee.data = this
    unsafe idle.pointee.data = this
    unsafe uv_poll_start(poll, Int32(UV_READABLE.rawValue)) { handle, _, _ in
      unsafe HostLoop.of(handle!.pointee.data).turn()
    }
    uv.begin(events)
    schedule(0)
  }

  private static func of(_ data: UnsafeMutableRawPointer?) -> HostLoop {
    unsafe Unmanaged<HostLoop>.fromOpaque(data!).takeUnretainedValue()
  }

  private func turn() {
    if let next = uv.turn() { schedule(next) } else { close() }
  }

  private func schedule(_ milliseconds: Int32) {
    unsafe uv_timer_stop(timer)
    unsafe uv_idle_stop(idle)
    if milliseconds > 0 {
      unsafe uv_timer_start(
        timer, { handle in unsafe HostLoop.of(handle!.pointee.data).turn() }, UInt64(milliseconds), 0)
    } else if milliseconds == 0 {
      // A timer would not let the host do anything else in between: libuv runs timers until none is due.
      unsafe uv_idle_start(idle) { handle in unsafe HostLoop.of(handle!.pointee.data).turn() }
    }
  }

  private func close() {
    // Before the descriptor is closed, and its number another's.
    unsafe uv_poll_stop(poll)
    uv.end()
    unsafe closeHandle(idle)
    // Its callback may come before the others'; theirs come before that of a handle which is closed in it.
    unsafe closeHandle(timer) { handle in
      let this = unsafe HostLoop.of(handle!.pointee.data)
      unsafe closeHandle(this.poll) { handle in
        let this = unsafe Unmanaged<HostLoop>.fromOpaque(handle!.pointee.data).takeRetainedValue()
        this.whenClosed()
      }
    }
  }
}
