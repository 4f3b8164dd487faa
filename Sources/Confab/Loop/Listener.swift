/// One listening socket of one event loop. libwebsockets' listener can't share a port among loops (SO_REUSEPORT).
/// Connections are counted and rejected here.
final class Listener {
  /// Maximum number of connections accepted before existing ones have their turn.
  private static let acceptsAtOnce = 64
  /// Pause when the process has no descriptor left. The socket stays readable, so polling would spin.
  private static let pause = Duration.milliseconds(100)

  private let socket: StreamSocket
  private var poll: UvPoll?
  /// Runs while accepting is paused.
  private var timer: UvTimer?
  /// Nil when it does not listen. The loop owns this object.
  private weak var loop: EventLoop?
  /// Limits the rate of new connections of peers that are not exempt.
  private var bucket = TokenBucket(rate: 0, now: 0)

  /// Takes over a listening socket.
  init(_ descriptor: Int32) { socket = StreamSocket(descriptor: descriptor) }

  func start(on uv: UvLoop, for loop: EventLoop) {
    self.loop = loop
    let rate = loop.configuration.maxAcceptRate
    // Each loop has its part of the rate.
    bucket = TokenBucket(rate: rate == 0 ? 0 : max(1, rate / loop.configuration.loops), now: loop.now)
    timer = UvTimer(on: uv)
    poll = UvPoll(socket, on: uv) { [unowned self] in accept() }
    poll?.wait(for: .input)
  }

  /// Stops listening after accepting the connections in the queue, which would be reset otherwise. A queue that is
  /// shared with others (``Configuration/listeningSockets``) is left to the next server.
  func drain() {
    if loop?.configuration.listeningSockets.isEmpty == true {
      bucket = TokenBucket(rate: 0, now: 0)
      for _ in 0..<SocketAddress.listenQueueLength / Listener.acceptsAtOnce { accept() }
    }
    stop()
  }

  /// Stops listening. Any thread before ``start``, then the loop's.
  func stop() {
    if loop != nil {
      poll?.close()
      timer?.close()
      loop = nil
    }
    socket.close()
  }

  private func accept() {
    guard let loop else { return }
    for _ in 0..<Listener.acceptsAtOnce {
      let accepted: StreamSocket
      let peer: SocketAddress
      switch SocketAddress.accept(from: socket) {
      case .connection(let socket, let address): (accepted, peer) = (socket, address)
      case .nothingYet: return
      case .outOfResources: return pausePolling(Listener.pause)
      }
      do throws(Rejection) {
        let ticket = try loop.admission.admit(peer)
        accepted.disableNagle()
        let sendBufferSize = loop.configuration.sendBufferSize
        if sendBufferSize > 0 { accepted.setSendBuffer(sendBufferSize) }
        loop.accept(accepted, peer, ticket)
        if !ticket.isExempt, let wait = exceededRate(peer) { return pausePolling(wait) }
      } catch {
        loop.reject(accepted, peer, error)
      }
    }
  }

  private func exceededRate(_ peer: SocketAddress) -> Duration? {
    guard let loop else { return nil }
    let wait = bucket.take(1, now: loop.now)
    guard wait > 0 else { return nil }
    let rate = loop.configuration.maxAcceptRate
    loop.admission.rejections.note(.acceptRate, peer.endpoint, "more than \(rate) new connections a second")
    return .milliseconds(wait)
  }

  private func pausePolling(_ time: Duration) {
    poll?.wait(for: .nothing)
    timer?.start(after: time) { [unowned self] in poll?.wait(for: .input) }
  }
}
