internal import CLibwebsockets

/// What lws wakes its loop with. When a context ends, 4.1 closes its descriptor twice, the second time when libuv has
/// closed the handle (lib/core-net/vhost.c, lws_destroy_event_pipe; lib/core-net/close.c, __lws_close_free_wsi_final):
/// in a program with other threads the number may be another's by then. 4.2 does not.
@safe struct EventPipe {
  /// Where lws has the descriptor; nil where nothing needs to be mended.
  private let descriptor: UnsafeMutablePointer<Int32>?

  /// Finds it in a loop in which a context has just been made: the pipe is all that it polls.
  init(in uv: UvLoop) {
    var wsi: OpaquePointer?
    unsafe uv_walk(
      uv.loop,
      { handle, found in
        guard unsafe handle!.pointee.type == UV_POLL else { return }
        unsafe found!.assumingMemoryBound(to: OpaquePointer?.self).pointee = OpaquePointer(handle!.pointee.data)
      }, &wsi)
    guard let wsi = unsafe wsi, unsafe String(cString: lws_get_library_version()).hasPrefix("4.1.") else {
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

  /// The context has begun to end: the descriptor is closed, the handle not yet.
  func wasClosed() { unsafe descriptor?.pointee = -1 }
}
