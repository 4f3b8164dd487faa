internal import CLibwebsockets
internal import Glibc

/// What lws wakes its loop with. When a context ends, some versions close its descriptor twice, the second time when
/// libuv has closed the handle (lib/core-net/vhost.c, lws_destroy_event_pipe; lib/core-net/close.c,
/// __lws_close_free_wsi and __lws_close_free_wsi_final): in a program with other threads the number may be another's by
/// then. Others (4.2.0 to 4.3.6) leave it open. What is done here makes all of them close it once.
@safe struct EventPipe {
  /// Where lws has the descriptor; nil if that was not found.
  private let descriptor: UnsafeMutablePointer<Int32>?

  /// Finds it in a loop in which a context has just been made: it polls the pipe, and since 4.3 a netlink socket.
  init(in uv: UvLoop) {
    var wsi: OpaquePointer?
    unsafe uv_walk(
      uv.loop,
      { handle, found in
        guard unsafe handle!.pointee.type == UV_POLL else { return }
        let wsi = unsafe OpaquePointer(handle!.pointee.data)
        var kind = stat()
        guard unsafe fstat(lws_get_socket_fd(wsi), &kind) == 0, kind.st_mode & S_IFMT != S_IFSOCK else { return }
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

  /// The context has begun to end: the descriptor is closed, or left to the context's last step; the handle is not
  /// closed yet.
  func wasClosed() { unsafe descriptor?.pointee = -1 }
}
