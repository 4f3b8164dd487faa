internal import CLibwebsockets
internal import Glibc

/// One listening socket of one event loop. libwebsockets' own can't share a port among loops (SO_REUSEPORT), and this is
/// the place where connections are counted and refused.
@safe final class Listener {
  /// So many connections are accepted before those that exist get their turn.
  private static let acceptsAtOnce = 64
  /// How long it waits when the process has no descriptor left: the socket stays readable, so polling would spin.
  private static let pause = 100 as UInt64

  private let descriptor: Int32
  private let sendBufferSize: Int
  private let poll = UnsafeMutablePointer<uv_poll_t>.allocate(capacity: 1)
  private let timer = UnsafeMutablePointer<uv_timer_t>.allocate(capacity: 1)
  private var context: Context?

  /// Takes over a socket that listens.
  init(_ descriptor: Int32, sendBufferSize: Int) {
    self.descriptor = descriptor
    self.sendBufferSize = sendBufferSize
  }

  deinit {
    unsafe poll.deallocate()
    unsafe timer.deallocate()
  }

  func start(on uv: UvLoop, adoptingInto context: Context) {
    self.context = context
    unsafe uv_poll_init(uv.loop, poll, descriptor)
    unsafe uv_timer_init(uv.loop, timer)
    // Unretained: the event loop keeps this object until its libuv loop has ended.
    let this = unsafe Unmanaged.passUnretained(self).toOpaque()
    unsafe poll.pointee.data = this
    unsafe timer.pointee.data = this
    startPolling()
  }

  /// Stops listening. Any thread before ``start``, then the loop's.
  func stop() {
    if context != nil {
      unsafe closeHandle(poll)
      unsafe closeHandle(timer)
      context = nil
    }
    close(descriptor)
  }

  private static func of(_ data: UnsafeMutableRawPointer?) -> Listener {
    unsafe Unmanaged<Listener>.fromOpaque(data!).takeUnretainedValue()
  }

  private func startPolling() {
    unsafe _ = uv_poll_start(poll, Int32(UV_READABLE.rawValue)) { handle, _, _ in
      unsafe Listener.of(handle!.pointee.data).accept()
    }
  }

  private func accept() {
    guard let context else { return }
    for _ in 0..<Listener.acceptsAtOnce {
      let accepted = shim_accept(descriptor)
      guard accepted >= 0 else {
        if [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(errno) { pausePolling() }
        return
      }
      setOption(accepted, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
      if sendBufferSize > 0 { setOption(accepted, SOL_SOCKET, SO_SNDBUF, Int32(sendBufferSize)) }
      context.adopt(accepted)
    }
  }

  private func pausePolling() {
    unsafe uv_poll_stop(poll)
    unsafe _ = uv_timer_start(
      timer, { unsafe Listener.of($0!.pointee.data).startPolling() }, Listener.pause, 0)
  }
}

func setOption(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
  var value = value
  unsafe _ = setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
}
