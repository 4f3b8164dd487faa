internal import CLibwebsockets

/// Polls a socket in a libuv loop. Loop thread only.
@safe final class UvPoll {
  enum Interest { case nothing, input, output }

  private let handle = UnsafeMutablePointer<uv_poll_t>.allocate(capacity: 1)
  private let body: () -> Void
  private var interest = Interest.nothing

  init(_ socket: StreamSocket, on uv: UvLoop, _ body: @escaping () -> Void) {
    self.body = body
    unsafe uv_poll_init(uv.loop, handle, socket.descriptor)
    // Retained until the handle has been closed.
    unsafe handle.pointee.data = Unmanaged.passRetained(self).toOpaque()
  }

  deinit { unsafe handle.deallocate() }

  /// Calls the body in each turn in which the socket is ready for `interest`, or broken.
  func wait(for interest: Interest) {
    if interest == self.interest { return }
    self.interest = interest
    if interest == .nothing {
      unsafe uv_poll_stop(handle)
      return
    }
    let events = interest == .input ? UV_READABLE : UV_WRITABLE
    unsafe _ = uv_poll_start(handle, Int32(events.rawValue)) { handle, _, _ in
      unsafe Unmanaged<UvPoll>.fromOpaque(handle!.pointee.data!).takeUnretainedValue().body()
    }
  }

  /// Stops polling the socket. Another handle may then poll it.
  func close() {
    unsafe closeHandle(handle) { handle in unsafe Unmanaged<UvPoll>.fromOpaque(handle!.pointee.data!).release() }
  }
}

/// Memory for the bytes of one read, which the next read overwrites.
@safe final class ScratchBuffer {
  static let size = 64 << 10
  let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: ScratchBuffer.size, alignment: 16)

  /// Returns the first `count` bytes.
  @_lifetime(borrow self)
  func prefix(_ count: Int) -> Span<UInt8> {
    unsafe _overrideLifetime(Span(_unsafeBytes: UnsafeRawBufferPointer(bytes).prefix(count)), borrowing: self)
  }

  deinit { unsafe bytes.deallocate() }
}
