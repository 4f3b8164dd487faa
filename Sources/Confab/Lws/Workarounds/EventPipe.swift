internal import CLibwebsockets

/// The pipe that wakes lws's loop. When a context ends, some versions of lws close its descriptor twice, the second
/// time after libuv has closed the handle (lib/core-net/vhost.c, lws_destroy_event_pipe; lib/core-net/close.c,
/// __lws_close_free_wsi and __lws_close_free_wsi_final). In a program with other threads, the number may belong to
/// another file by then. Other versions (4.2.0 to 4.3.6) leave it open. This type makes all of them close it once.
@safe struct EventPipe {
  /// The address at which lws keeps the descriptor; nil if it was not found.
  private let descriptor: UnsafeMutablePointer<Int32>?

  /// Finds the pipe in a loop in which a context has just been made. Such a loop polls the pipe and, since 4.3, a
  /// netlink socket.
  init(in uv: UvLoop) {
    var wsi: OpaquePointer?
    unsafe uv_walk(
      uv.loop,
      { handle, found in
        guard unsafe handle!.pointee.type == UV_POLL else { return }
        let wsi = unsafe OpaquePointer(handle!.pointee.data)
        guard let status = unsafe FileStatus(of: lws_get_socket_fd(wsi)), !status.isSocket else { return }
        unsafe found!.assumingMemoryBound(to: OpaquePointer?.self).pointee = unsafe wsi
      }, &wsi)
    guard let wsi = unsafe wsi else {
      unsafe descriptor = nil
      return
    }
    let number = unsafe lws_get_socket_fd(wsi)
    let integers = unsafe UnsafeMutableRawPointer(wsi).assumingMemoryBound(to: Int32.self)
    let count = unsafe shim_allocated_size(UnsafeMutableRawPointer(wsi)) / MemoryLayout<Int32>.size
    unsafe descriptor = unsafe (0..<count).lazy.map { unsafe integers + $0 }.first { place in
      guard unsafe place.pointee == number else { return false }
      unsafe place.pointee = -1
      defer { unsafe place.pointee = number }
      return unsafe lws_get_socket_fd(wsi) == -1
    }
  }

  /// Called when the context has begun to end. The descriptor is closed, or is left to the context's last step. The
  /// handle is not closed yet.
  func wasClosed() { unsafe descriptor?.pointee = -1 }
}
