internal import CLibwebsockets

/// A non-blocking stream socket. Copies have the same descriptor, which the owner of the socket closes once.
struct StreamSocket {
  let descriptor: Int32

  enum Received {
    /// The number of bytes read, at least 1.
    case bytes(Int)
    case nothingYet
    /// The peer has ended its side, or the connection is broken.
    case ended
  }

  /// Reads at most `limit` bytes into `buffer`.
  func receive(into buffer: ScratchBuffer, limit: Int = ScratchBuffer.size) -> Received {
    let count = unsafe recv(
      descriptor, buffer.bytes.baseAddress, min(limit, ScratchBuffer.size), Int32(MSG_DONTWAIT))
    if count > 0 { return .bytes(count) }
    return count < 0 && [EAGAIN, EINTR].contains(shim_errno()) ? .nothingYet : .ended
  }

  /// Returns how many bytes the kernel has taken; nil if the connection is broken.
  func send(_ bytes: Span<UInt8>) -> Int? {
    let count = unsafe bytes.withUnsafeBytes { unsafe shim_send(descriptor, $0.baseAddress, $0.count) }
    if count < 0 && ![EAGAIN, EINTR].contains(shim_errno()) { return nil }
    return max(0, count)
  }

  /// Ends the server's side.
  func endWriting() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Ends the connection with a reset. The peer sees it at once.
  func abort() {
    var linger = linger(l_onoff: 1, l_linger: 0)
    unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
    shutdown(descriptor, Int32(SHUT_RDWR))
  }

  /// Whether the peer's side is open: it has data or nothing to read, but neither an end nor an error.
  var isPeerOpen: Bool {
    var byte: UInt8 = 0
    let count = unsafe recv(descriptor, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT))
    return count > 0 || (count < 0 && shim_errno() == EAGAIN)
  }

  func close() { closeFile(descriptor) }

  /// Sets the size of the send buffer, in bytes.
  func setSendBuffer(_ size: Int) { setOption(descriptor, SOL_SOCKET, SO_SNDBUF, Int32(size)) }

  /// Sets the time after which blocking operations fail.
  func setTimeout(_ timeout: Duration) {
    let (seconds, attoseconds) = timeout.components
    var time = timeval(tv_sec: .init(seconds), tv_usec: .init(attoseconds / 1_000_000_000_000))
    for name in [SO_RCVTIMEO, SO_SNDTIMEO] {
      unsafe _ = setsockopt(descriptor, SOL_SOCKET, name, &time, socklen_t(MemoryLayout<timeval>.size))
    }
  }

  /// Sends small writes at once.
  func disableNagle() { setOption(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1) }

  /// The kernel's state of a TCP connection. Values that the system does not provide are zero.
  struct State {
    /// Milliseconds since data was received.
    let silence: UInt32
    /// Bytes that the peer has acknowledged, modulo 2^32.
    let acknowledged: UInt32
    /// Whether bytes are unacknowledged or unsent.
    let hasOutstanding: Bool
  }

  var state: State {
    let state = shim_tcp_state(descriptor)
    return State(silence: state.silence, acknowledged: state.acked, hasOutstanding: state.is_outstanding != 0)
  }

  /// Returns two sockets that are connected to each other; nil if the process has too few descriptors.
  static func makePair() -> (StreamSocket, StreamSocket)? {
    var pair: [Int32] = [-1, -1]
    guard unsafe shim_socket_pair(&pair) == 0 else { return nil }
    return (StreamSocket(descriptor: pair[0]), StreamSocket(descriptor: pair[1]))
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
