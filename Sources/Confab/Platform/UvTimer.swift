internal import CLibwebsockets

/// A timer of libuv. Loop thread only.
@safe final class UvTimer {
  /// Freed with this object, which the owner keeps until the libuv loop has ended.
  private let timer = UnsafeMutablePointer<uv_timer_t>.allocate(capacity: 1)
  private var body: () -> Void = {}

  init(on uv: UvLoop) {
    unsafe uv_timer_init(uv.loop, timer)
    // Unretained: the handle is closed, and the loop has ended, before this object is freed.
    unsafe timer.pointee.data = Unmanaged.passUnretained(self).toOpaque()
  }

  deinit { unsafe timer.deallocate() }

  /// Calls `body` after `time`, and then every `period` unless that is 0. Replaces an earlier call.
  func start(after time: Duration, every period: Duration = .zero, _ body: @escaping () -> Void) {
    self.body = body
    unsafe _ = uv_timer_start(
      timer, { handle in unsafe Unmanaged<UvTimer>.fromOpaque(handle!.pointee.data!).takeUnretainedValue().body() },
      time.milliseconds, period.milliseconds)
  }

  var isActive: Bool {
    unsafe uv_is_active(UnsafeMutableRawPointer(timer).assumingMemoryBound(to: uv_handle_t.self)) != 0
  }

  func stop() { unsafe _ = uv_timer_stop(timer) }

  func close() {
    unsafe closeHandle(timer)
    body = {}
  }
}

extension Duration {
  /// Whole milliseconds, rounded up, because a timer must not be early. At least 0, and at most 10,000 years.
  var milliseconds: UInt64 {
    let (seconds, attoseconds) = min(max(self, .zero), .seconds(315_576_000_000)).components
    return UInt64(seconds) * 1000 + UInt64((attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
  }
}
