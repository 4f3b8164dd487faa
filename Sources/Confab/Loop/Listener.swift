internal import CLibwebsockets
internal import Glibc

/// One listening socket of one event loop. libwebsockets' listener can't share a port among loops (SO_REUSEPORT).
/// Connections are counted and rejected here.
@safe final class Listener {
  /// Maximum number of connections accepted before existing ones have their turn.
  private static let acceptsAtOnce = 64
  /// Maximum number of connections that wait in the kernel to be accepted.
  static let queueLength = 4096
  /// Pause when the process has no descriptor left. The socket stays readable, so polling would spin.
  private static let pause = Duration.milliseconds(100)

  private let descriptor: Int32
  private let poll = UnsafeMutablePointer<uv_poll_t>.allocate(capacity: 1)
  /// Runs while accepting is paused.
  private var timer: UvTimer?
  /// Nil when it does not listen. The loop owns this object.
  private weak var loop: EventLoop?
  /// Limits the rate of new connections of peers that are not exempt.
  private var bucket = TokenBucket(rate: 0, now: 0)

  /// Takes over a listening socket.
  init(_ descriptor: Int32) { self.descriptor = descriptor }

  deinit { unsafe poll.deallocate() }

  func start(on uv: UvLoop, for loop: EventLoop) {
    self.loop = loop
    let rate = loop.configuration.maxAcceptRate
    // Each loop has its part of the rate.
    bucket = TokenBucket(rate: rate == 0 ? 0 : max(1, rate / loop.configuration.loops), now: loop.now)
    unsafe uv_poll_init(uv.loop, poll, descriptor)
    timer = unsafe UvTimer(on: uv.loop)
    // Unretained: the event loop keeps this object until its libuv loop has ended.
    unsafe poll.pointee.data = Unmanaged.passUnretained(self).toOpaque()
    startPolling()
  }

  /// Stops listening after accepting the connections in the queue, which would be reset otherwise. A queue that is
  /// shared with others (``Configuration/listeningSockets``) is left to the next server.
  func drain() {
    if loop?.configuration.listeningSockets.isEmpty == true {
      bucket = TokenBucket(rate: 0, now: 0)
      for _ in 0..<Listener.queueLength / Listener.acceptsAtOnce { accept() }
    }
    stop()
  }

  /// Stops listening. Any thread before ``start``, then the loop's.
  func stop() {
    if loop != nil {
      unsafe closeHandle(poll)
      timer?.close()
      loop = nil
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
    guard let loop else { return }
    for _ in 0..<Listener.acceptsAtOnce {
      guard let (accepted, peer) = SocketAddress.accept(from: descriptor) else {
        if [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(errno) { pausePolling(Listener.pause) }
        return
      }
      switch loop.admission.admit(peer) {
      case .success(let ticket):
        setOption(accepted, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        let sendBufferSize = loop.configuration.sendBufferSize
        if sendBufferSize > 0 { setOption(accepted, SOL_SOCKET, SO_SNDBUF, Int32(sendBufferSize)) }
        loop.welcome(accepted, peer, ticket)
        if !ticket.isExempt, let wait = exceededRate(peer) { return pausePolling(wait) }
      case .failure(let rejection):
        loop.turnAway(accepted, peer, rejection)
      }
    }
  }

  private func exceededRate(_ peer: SocketAddress) -> Duration? {
    guard let loop else { return nil }
    let wait = bucket.take(1, now: loop.now)
    guard wait > 0 else { return nil }
    let rate = loop.configuration.maxAcceptRate
    loop.admission.refusals.note(.acceptRate, peer.endpoint, "more than \(rate) new connections a second")
    return .milliseconds(wait)
  }

  private func pausePolling(_ time: Duration) {
    unsafe uv_poll_stop(poll)
    timer?.start(after: time) { [unowned self] in startPolling() }
  }
}

func setOption(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
  var value = value
  unsafe _ = setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
}

/// Returns the value of a socket option; -1 if it cannot be read.
func option(_ descriptor: Int32, _ level: Int32, _ option: Int32) -> Int32 {
  var (value, length) = (Int32(-1), socklen_t(MemoryLayout<Int32>.size))
  unsafe _ = getsockopt(descriptor, level, option, &value, &length)
  return value
}
