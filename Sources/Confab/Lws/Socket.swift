internal import CLibwebsockets
internal import Glibc

/// One libwebsockets connection, `struct lws *`, with safe calls for the rest of the server.
///
/// Loop thread only, and not after LWS_CALLBACK_CLOSED: ``Connection/socket`` is nil from then on, and a ``Fanout`` has
/// released the socket before.
@safe struct Socket {
  let wsi: OpaquePointer

  init(_ wsi: OpaquePointer) { unsafe self.wsi = wsi }

  /// The connection of an established WebSocket.
  ///
  /// lws holds it unretained, from ``LwsGate/answersUpgrade(_:)`` to LWS_CALLBACK_CLOSED. ``EventLoop/connections``
  /// keeps it alive meanwhile.
  var connection: Connection {
    unsafe Unmanaged<Connection>.fromOpaque(lws_wsi_user(wsi)).takeUnretainedValue()
  }

  /// The connection; nil for requests that never became a WebSocket, for which lws makes some callbacks, too.
  var boundConnection: Connection? {
    unsafe lws_wsi_user(wsi) == nil ? nil : connection
  }

  /// Sets ``connection``.
  func bind(_ connection: Connection?) {
    unsafe lws_set_wsi_user(wsi, connection.map { unsafe Unmanaged.passUnretained($0).toOpaque() })
  }

  /// The result of a write.
  enum Written { case taken, failed }

  /// Sends bytes that are whole frames, unchanged. At most one segment, and never while ``isBlocked``.
  ///
  /// LWS_WRITE_HTTP makes the ws role skip framing and extensions (lib/roles/ws/ops-ws.c, `send_raw`). lws copies what
  /// a full socket does not take, and sends it before anything else. The socket is blocked until then.
  func write(_ bytes: UnsafeRawBufferPointer) -> Written {
    let start = unsafe UnsafeMutableRawPointer(mutating: bytes.baseAddress!)
      .assumingMemoryBound(to: UInt8.self)
    return unsafe lws_write(wsi, start, bytes.count, LWS_WRITE_HTTP) < 0 ? .failed : .taken
  }

  func write(_ slice: Slice) -> Written {
    unsafe slice.withBytes { unsafe write($0) }
  }

  /// Whether lws holds bytes that the kernel has not taken yet.
  var isBlocked: Bool { unsafe lws_partial_buffered(wsi) != 0 }

  /// Asks for LWS_CALLBACK_SERVER_WRITEABLE, once the kernel takes more.
  func requestWritable() { unsafe _ = lws_callback_on_writable(wsi) }

  /// Asks for LWS_CALLBACK_TIMER after `time`. Replaces an earlier request.
  func setTimer(_ time: Duration) {
    let (seconds, attoseconds) = time.components
    unsafe lws_set_timer_usecs(wsi, lws_usec_t(seconds) * 1_000_000 + lws_usec_t(attoseconds / 1_000_000_000_000))
  }

  /// Makes lws notice a timer that was set outside of its callbacks. With libuv, lws looks at its timers after it has
  /// served a socket (lib/event-libs/libuv/libuv.c, lws_uv_idle).
  func wakeLws() { unsafe lws_cancel_service_pt(wsi) }

  /// Sets the close frame that lws sends when the running callback returns -1.
  func setCloseFrame(_ close: Close) {
    guard close.code.isSendable else { return }
    var reason = Array(close.reason.utf8)
    unsafe lws_close_reason(wsi, lws_close_status(UInt32(close.code.rawValue)), &reason, reason.count)
  }

  /// Ends the TCP connection at once, without a close frame. LWS_CALLBACK_CLOSED follows in a later turn.
  ///
  /// Otherwise lws would wait up to 5 s for the socket to take the bytes that lws still has for it
  /// (lib/core-net/close.c, LRS_FLUSHING_BEFORE_CLOSE).
  func abort() {
    var linger = linger(l_onoff: 1, l_linger: 0)
    unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
    _ = shutdown(descriptor, Int32(SHUT_RDWR))
  }

  /// Whether the peer's side is open: it has data or nothing to read, but neither an end nor an error.
  var isPeerOpen: Bool {
    var byte: UInt8 = 0
    let count = unsafe recv(descriptor, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT))
    return count > 0 || (count < 0 && errno == EAGAIN)
  }

  var descriptor: Int32 { unsafe lws_get_socket_fd(wsi) }

  /// The client of the connection: the one that a trusted proxy has named, or the peer. Nil if the peer has gone.
  var client: SocketAddress? {
    unsafe Context.of(wsi)?.loop?.proxied[self]?.client ?? SocketAddress(of: descriptor, getpeername)
  }

  /// The client's address and port, as text for logs.
  var peer: String { client?.endpoint ?? "a peer that has gone" }

  /// Answers a request. The caller must then end the connection.
  func answer(_ response: Response, isHead: Bool = false) { _ = write(response.bytes(isHead: isHead)) }

  func write(_ bytes: [UInt8]) -> Written { unsafe bytes.withUnsafeBytes { unsafe write($0) } }

  /// Makes lws end the connection in a later turn, without a close frame. A request that the kernel has by then is not
  /// read.
  func kill() {
    setReading(false)
    unsafe lws_set_timeout(wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC)
    wakeLws()
  }

  /// The ticket that ``Admission`` has given out for the connection.
  var ticket: Admission.Ticket {
    get { unsafe Admission.Ticket(rawValue: Int(bitPattern: lws_get_opaque_user_data(wsi))) }
    nonmutating set { unsafe lws_set_opaque_user_data(wsi, UnsafeMutableRawPointer(bitPattern: newValue.rawValue)) }
  }
}

extension Slice {
  /// Calls `body` with the bytes, which are valid during the call.
  func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    unsafe bytes.withUnsafeBytes { unsafe body(UnsafeRawBufferPointer(rebasing: $0[range])) }
  }
}
