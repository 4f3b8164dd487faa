internal import CLibwebsockets
internal import Logging
internal import Synchronization

/// The libwebsockets context of one event loop, on its libuv loop. Its only vhost does not listen: sockets come from a
/// ``Listener``.
@safe final class Context {
  /// The event loop that the context serves. Set before the loop runs.
  private(set) weak var loop: EventLoop?
  /// The pointer to the context. lws sets it to nil when the context is gone.
  private let context: UnsafeMutablePointer<OpaquePointer?>
  private var vhost: OpaquePointer?
  private let eventPipe: EventPipe
  /// The memory that lws refers to by address while the context lives.
  private let memory: ContextMemory
  private var fileOperations: FileOperations?
  let certificate: Certificate?
  let subprotocols: Subprotocols
  /// The request that lws handles now.
  var exchange = LwsExchange()

  /// Contexts are made one after the other, because lws has data that all contexts share without locks.
  private static let making = Mutex(())

  init(_ configuration: Configuration, _ certificate: Certificate?, on uv: UvLoop) throws(ConfabError) {
    ReceiveBuffer.install()
    let subprotocols = Subprotocols()
    let memory = unsafe ContextMemory(configuration, unknownSubprotocol: subprotocols.unknown)
    var info = unsafe lws_context_creation_info()
    unsafe info.port = CONTEXT_PORT_NO_LISTEN_SERVER
    unsafe info.options = UInt64(
      LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS
        // Data that does not begin with a method that lws knows comes to LWS_CALLBACK_RAW_RX, to be answered.
        | LWS_SERVER_OPTION_FALLBACK_TO_APPLY_LISTEN_ACCEPT_CONFIG)
    if let certificate {
      HeaderTables.areWatched.store(true, ordering: .relaxed)
      unsafe info.options |= UInt64(
        LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX
          // ``LwsRequestHandler`` answers unencrypted requests.
          | Int64(shim_ALLOW_NON_SSL_ON_SSL_PORT) | LWS_SERVER_OPTION_ALLOW_HTTP_ON_HTTPS_LISTENER)
      unsafe info.user = Unmanaged.passUnretained(certificate).toOpaque()
      unsafe info.provided_client_ssl_ctx = certificate.unusedClient
      // HTTP/2 is off.
      unsafe info.alpn = memory.string("http/1.1")
    }
    // A request over the limit is answered if it fits in here. lws drops larger ones.
    unsafe info.max_http_header_data = UInt16(configuration.maxHeaderSize * 2)
    // The loop enforces the deadline of requests, and answers late ones. This timeout is for clients that pause while
    // they take a file, which the loop cannot see.
    unsafe info.timeout_secs = UInt32(max(configuration.handshakeTimeout.components.seconds + 5, 150))
    unsafe info.keepalive_timeout = 5
    unsafe info.retry_and_idle_policy = UnsafePointer(memory.noKeepAlive)
    unsafe info.protocols = UnsafePointer(memory.protocols)
    if configuration.offersCompression { unsafe info.extensions = UnsafePointer(memory.extensions) }
    unsafe info.mounts = memory.mounts.map { unsafe UnsafePointer($0) }
    unsafe info.pt_serv_buf_size = UInt32(Context.serviceBufferSize)
    unsafe info.headers = memory.headers
    unsafe info.server_string = memory.string("confab")
    unsafe info.vhost_name = memory.string("confab")
    unsafe LwsLog.use(memory.allocate(shim_log.self, [shim_log()]), in: &info)
    let loops = unsafe memory.allocate(UnsafeMutableRawPointer?.self, [UnsafeMutableRawPointer(uv.loop)])
    unsafe info.foreign_loops = unsafe loops

    let pointer = unsafe memory.allocate(OpaquePointer?.self, [nil])
    unsafe info.pcontext = unsafe pointer
    // nonisolated(unsafe): the lock's closure runs here and now.
    nonisolated(unsafe) let request = unsafe info
    nonisolated(unsafe) var made: (context: OpaquePointer, vhost: OpaquePointer)?
    Context.making.withLock { _ in
      var request = unsafe request
      guard let context = unsafe shim_create_context(&request) else { return }
      if let vhost = unsafe lws_create_vhost(context, &request) {
        unsafe made = unsafe (context, vhost)
      } else {
        unsafe lws_context_destroy(context)
      }
    }
    guard let made = unsafe made else {
      throw ConfabError(
        .libraryFailed,
        "libwebsockets could not make a context on libuv; is its plugin there? (Debian: libwebsockets-evlib-uv)")
    }
    self.memory = memory
    self.certificate = certificate
    self.subprotocols = subprotocols
    fileOperations = nil
    unsafe context = unsafe pointer
    unsafe context.pointee = made.context
    unsafe vhost = made.vhost
    eventPipe = EventPipe(in: uv)
    unsafe fileOperations = FileOperations(of: made.context, owner: self)
  }

  /// The id that the server's own subprotocols have in lws's table.
  static let subprotocolID: UInt32 = 1

  /// Size of a context's scratch buffer, in bytes. One read takes this much at most, and HTTP responses are made in it.
  static let serviceBufferSize = 64 * 1024

  /// Makes lws call `loop` from now on. Loop thread only.
  func serve(_ loop: EventLoop, on uv: UvLoop) {
    self.loop = loop
    // Unretained: the event loop owns this context.
    unsafe memory.owner.pointee = Unmanaged.passUnretained(self).toOpaque()
    let reportsPolls = unsafe PollReports.turnOn(in: context.pointee!, uv)
    if !reportsPolls {
      loop.configuration.logger.warning(
        "libwebsockets does not report pings: a client that sends several at once may get one pong for them",
        metadata: ["libwebsockets": "\(LwsFeatures.version)"])
    }
  }

  /// Returns the context of a connection; nil for sockets that lws opens for itself.
  static func of(_ wsi: OpaquePointer) -> Context? {
    guard let user = unsafe lws_get_protocol(wsi)?.pointee.user else { return nil }
    let owner = unsafe user.assumingMemoryBound(to: UnsafeMutableRawPointer?.self).pointee
    return unsafe owner.map { unsafe Unmanaged<Context>.fromOpaque($0).takeUnretainedValue() }
  }

  /// Hands an accepted socket to lws. Returns nil if lws can't take it; lws then closes the socket.
  func adopt(_ socket: StreamSocket) -> Socket? {
    guard let vhost = unsafe vhost else {
      socket.close()
      return nil
    }
    var description = unsafe lws_adopt_desc_t()
    unsafe description.vh = vhost
    unsafe description.type = lws_adoption_type(
      rawValue: LWS_ADOPT_SOCKET.rawValue | LWS_ADOPT_HTTP.rawValue | LWS_ADOPT_ALLOW_SSL.rawValue)
    unsafe description.fd.sockfd = socket.descriptor
    return unsafe lws_adopt_descriptor_vhost_via_info(&description).map { unsafe Socket($0) }
  }

  /// Hands a socket to lws with bytes that have been read from it, which lws serves at once.
  /// ``EventLoop/wasAdopted(_:)`` is called, unless lws can't take the socket and closes it. Returns nil if lws has
  /// ended the connection.
  func adopt(_ socket: StreamSocket, reading bytes: [UInt8]) -> Socket? {
    guard let vhost = unsafe vhost else {
      socket.close()
      return nil
    }
    return unsafe bytes.withUnsafeBytes { bytes in
      let start = unsafe bytes.baseAddress!.assumingMemoryBound(to: CChar.self)
      return unsafe lws_adopt_socket_vhost_readbuf(vhost, socket.descriptor, start, bytes.count).map {
        unsafe Socket($0)
      }
    }
  }

  /// Closes every connection, without close frames. Called once while the libuv loop runs, and once after it has ended:
  /// lws does not own the loop, so the second call frees the memory that was in use until the loop's handles were
  /// closed.
  func destroy() {
    if let context = unsafe context.pointee { unsafe lws_context_destroy(context) }
    if unsafe vhost != nil { eventPipe.wasClosed() }
    unsafe vhost = nil
  }
}
