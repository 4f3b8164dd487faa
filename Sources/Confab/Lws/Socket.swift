internal import CLibwebsockets

/// One libwebsockets connection, `struct lws *`, with safe calls for the rest of the server.
///
/// Loop thread only, and not after LWS_CALLBACK_CLOSED: ``Connection/socket`` is nil from then on, and a ``Fanout`` has
/// released the socket before.
@safe struct Socket {
  let wsi: OpaquePointer

  init(_ wsi: OpaquePointer) { unsafe self.wsi = wsi }

  /// The connection of an established WebSocket.
  ///
  /// lws holds it unretained, from ``LwsRequestHandler/answersUpgrade(_:)`` to LWS_CALLBACK_CLOSED.
  /// ``EventLoop/connections`` keeps it alive meanwhile.
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
  /// LWS_WRITE_HTTP makes the ws role skip framing and extensions (lib/roles/ws/ops-ws.c, `send_raw`). lws copies the
  /// bytes that a full socket does not take, and sends them before all others. The socket is blocked until then.
  func write(_ bytes: Span<UInt8>) -> Written {
    unsafe bytes.withUnsafeBufferPointer { bytes in
      // lws does not change them.
      let start = unsafe UnsafeMutablePointer(mutating: bytes.baseAddress!)
      return unsafe lws_write(wsi, start, bytes.count, LWS_WRITE_HTTP) < 0 ? .failed : .taken
    }
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
    StreamSocket(descriptor: descriptor).abort()
  }

  /// Whether the peer's side is open: it has data or nothing to read, but neither an end nor an error.
  var isPeerOpen: Bool { StreamSocket(descriptor: descriptor).isPeerOpen }

  var descriptor: Int32 { unsafe lws_get_socket_fd(wsi) }

  /// The client that a trusted proxy has named, or the peer. Nil if the peer has gone.
  var client: SocketAddress? {
    unsafe Context.of(wsi)?.loop?.proxied[self]?.client ?? SocketAddress(peerOf: descriptor)
  }

  /// The client's address and port, as text for logs.
  var peer: String { client?.endpoint ?? "a peer that has gone" }

  /// Answers a request. The caller must then end the connection.
  func answer(_ response: Response, isHead: Bool = false) { _ = write(response.bytes(isHead: isHead).span) }

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

extension Socket: Hashable {
  static func == (one: Socket, other: Socket) -> Bool { unsafe one.wsi == other.wsi }
  func hash(into hasher: inout Hasher) { unsafe hasher.combine(wsi) }
}

extension Socket {
  /// The kernel's state of the TCP connection.
  var kernelState: StreamSocket.State { StreamSocket(descriptor: descriptor).state }

  /// Answers with status 408, unless the TLS handshake is incomplete, and ends the connection.
  func rejectLate() {
    if canAnswer { unsafe LwsRequestHandler(wsi).rejectLate() }
    kill()
  }
}

extension Socket {
  /// The close frame that lws is about to send by itself.
  var closeFrame: Close? {
    let length = Int(unsafe lws_get_close_length(wsi))
    guard length >= 2, let start = unsafe lws_get_close_payload(wsi) else { return nil }
    let payload = unsafe UnsafeBufferPointer(start: start, count: length)
    let code = unsafe UInt16(payload[0]) << 8 | UInt16(payload[1])
    return Close(
      code: CloseCode(rawValue: code), reason: unsafe String(decoding: payload.dropFirst(2), as: UTF8.self),
      isClean: false)
  }
}

extension Socket {
  /// Takes a piece of a message, see ``Connection/receive(_:_:)``.
  func received(_ piece: UnsafeRawBufferPointer) -> Bool {
    let bytes = unsafe Span<UInt8>(_unsafeBytes: piece)
    // The loop keeps the connection alive meanwhile. Counting a reference for each message would take longer than
    // everything else that is done to it here.
    return unsafe Unmanaged<Connection>.fromOpaque(lws_wsi_user(wsi))._withUnsafeGuaranteedRef {
      $0.receive(bytes, self)
    }
  }

  /// Stops reading, or resumes it with the data that has arrived meanwhile.
  func setReading(_ isOn: Bool) { unsafe _ = lws_rx_flow_control(wsi, isOn ? 1 : 0) }

  // Properties of the piece in LWS_CALLBACK_RECEIVE.
  var isFinalFragment: Bool { unsafe lws_is_final_fragment(wsi) != 0 }
  var isBinary: Bool { unsafe lws_frame_is_binary(wsi) != 0 }
  /// RSV1 of the piece's frame. The first frame of a compressed message has it.
  var isCompressed: Bool { unsafe lws_get_reserved_bits(wsi) & 0x40 != 0 }
  var remainingPayload: Int { unsafe lws_remaining_packet_payload(wsi) }
}
