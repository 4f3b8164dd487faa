internal import CLibwebsockets
internal import Glibc
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
  private let memory: Memory
  private var fileOperations: FileOperations?
  let certificate: Certificate?
  let subprotocols: Subprotocols

  /// Contexts are made one after the other, because lws has data that all contexts share without locks.
  private static let making = Mutex(())

  init(_ configuration: Configuration, _ certificate: Certificate?, on uv: UvLoop) throws(ConfabError) {
    ReceiveBuffer.install()
    let subprotocols = Subprotocols()
    let memory = unsafe Memory(configuration, unknownSubprotocol: subprotocols.unknown)
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
          // The gate answers unencrypted requests.
          | Int64(shim_ALLOW_NON_SSL_ON_SSL_PORT) | LWS_SERVER_OPTION_ALLOW_HTTP_ON_HTTPS_LISTENER)
      unsafe info.user = Unmanaged.passUnretained(certificate).toOpaque()
      unsafe info.provided_client_ssl_ctx = certificate.unusedClient
      // HTTP/2 is off.
      unsafe info.alpn = memory.string("http/1.1")
    }
    // A request over the limit is answered if it fits in here. lws drops larger ones.
    unsafe info.max_http_header_data = UInt16(configuration.maxHeaderSize * 2)
    // The loop enforces the deadline of requests, and answers late ones. This timeout is for what the loop cannot see:
    // a client that pauses while it takes a file.
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
    let loops = unsafe memory.allocate(UnsafeMutableRawPointer?.self, [UnsafeMutableRawPointer(uv.loop)])
    unsafe info.foreign_loops = unsafe loops

    let pointer = unsafe memory.allocate(OpaquePointer?.self, [nil])
    unsafe info.pcontext = unsafe pointer
    // nonisolated(unsafe): the lock's closure runs here and now.
    nonisolated(unsafe) let request = unsafe info
    nonisolated(unsafe) var made: (context: OpaquePointer, vhost: OpaquePointer)?
    Context.making.withLock { _ in
      var request = unsafe request
      guard let context = unsafe lws_create_context(&request) else { return }
      if let vhost = unsafe lws_create_vhost(context, &request) {
        unsafe made = unsafe (context, vhost)
      } else {
        unsafe lws_context_destroy(context)
      }
    }
    guard let made = unsafe made else {
      throw ConfabError(
        .engineFailed,
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

  /// Headers of each response with a file. They are what lws calls best practices, and allow the manifest of an
  /// installable page, which lws's own list forbids.
  static let pageHeaders = [
    (
      "content-security-policy",
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        + "connect-src 'self' ws: wss:; manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    ("x-content-type-options", "nosniff"), ("x-frame-options", "deny"), ("referrer-policy", "no-referrer"),
  ]

  /// The Cache-Control value that lws makes of the settings of the mounts.
  static let cacheControl = "must-revalidate, private, max-age=1"

  /// Size of a context's scratch buffer, in bytes. One read takes this much at most, and HTTP responses are made in it.
  static let serviceBufferSize = 64 * 1024

  /// Makes lws call `loop` from now on. Loop thread only.
  func serve(_ loop: EventLoop, on uv: UvLoop) {
    self.loop = loop
    // Unretained: the event loop owns this context.
    unsafe memory.owner.pointee = Unmanaged.passUnretained(self).toOpaque()
    unsafe shim_report_poll_changes(context.pointee, uv.loop)
  }

  /// Returns the context of a connection; nil for sockets that lws opens for itself.
  static func of(_ wsi: OpaquePointer) -> Context? {
    guard let user = unsafe lws_get_protocol(wsi)?.pointee.user else { return nil }
    let owner = unsafe user.assumingMemoryBound(to: UnsafeMutableRawPointer?.self).pointee
    return unsafe owner.map { unsafe Unmanaged<Context>.fromOpaque($0).takeUnretainedValue() }
  }

  /// Hands an accepted socket to lws. Returns nil if lws can't take it; lws then closes the socket.
  func adopt(_ descriptor: Int32) -> Socket? {
    guard let vhost = unsafe vhost else {
      _ = close(descriptor)
      return nil
    }
    var description = unsafe lws_adopt_desc_t()
    unsafe description.vh = vhost
    unsafe description.type = lws_adoption_type(
      rawValue: LWS_ADOPT_SOCKET.rawValue | LWS_ADOPT_HTTP.rawValue | LWS_ADOPT_ALLOW_SSL.rawValue)
    unsafe description.fd.sockfd = descriptor
    return unsafe lws_adopt_descriptor_vhost_via_info(&description).map { unsafe Socket($0) }
  }

  /// Hands a socket to lws with bytes that have been read from it, which lws serves at once.
  /// ``EventLoop/wasAdopted(_:)`` is called, unless lws can't take the socket and closes it. Returns nil if lws has
  /// ended the connection.
  func adopt(_ descriptor: Int32, reading bytes: [UInt8]) -> Socket? {
    guard let vhost = unsafe vhost else {
      _ = close(descriptor)
      return nil
    }
    return unsafe bytes.withUnsafeBytes { bytes in
      let start = unsafe bytes.baseAddress!.assumingMemoryBound(to: CChar.self)
      return unsafe lws_adopt_socket_vhost_readbuf(vhost, descriptor, start, bytes.count).map { unsafe Socket($0) }
    }
  }

  /// Closes every connection, without close frames. Called once while the libuv loop runs, and once after it has ended:
  /// lws does not own the loop, so the second call frees what had to wait until the loop's handles were closed.
  func destroy() {
    if let context = unsafe context.pointee { unsafe lws_context_destroy(context) }
    if unsafe vhost != nil { eventPipe.wasClosed() }
    unsafe vhost = nil
  }
}

/// C memory that lws refers to. Freed with this object, after the context.
@safe private final class Memory {
  private var allocations = unsafe [UnsafeMutableRawPointer]()
  private(set) var protocols: UnsafeMutablePointer<lws_protocols>
  private(set) var extensions: UnsafeMutablePointer<lws_extension>
  /// See ``Context/pageHeaders``.
  private(set) var headers: UnsafePointer<lws_protocol_vhost_options>?
  private(set) var mounts: UnsafeMutablePointer<lws_http_mount>?
  /// A policy without timers. lws would have two for each connection, in a list that each new timer is sorted into from
  /// its beginning. The loop does without: see KeepAlive.swift.
  private(set) var noKeepAlive: UnsafeMutablePointer<lws_retry_bo_t>
  /// Points to the ``Context``.
  private(set) var owner: UnsafeMutablePointer<UnsafeMutableRawPointer?>

  init(_ configuration: Configuration, unknownSubprotocol: UnsafePointer<CChar>) {
    unsafe protocols = UnsafeMutablePointer(bitPattern: 8)!
    unsafe extensions = UnsafeMutablePointer(bitPattern: 8)!
    unsafe noKeepAlive = UnsafeMutablePointer(bitPattern: 8)!
    unsafe owner = UnsafeMutablePointer(bitPattern: 8)!
    unsafe noKeepAlive = allocate(lws_retry_bo_t.self, [lws_retry_bo_t()])
    unsafe owner = allocate(UnsafeMutableRawPointer?.self, [nil])
    // The first protocol is for HTTP, and for clients that ask for no subprotocol. Its name is not a token, so a client
    // cannot ask for it.
    var names = unsafe [string("no subprotocol")]
    for name in configuration.subprotocols { unsafe names.append(string(name)) }
    unsafe names.append(unknownSubprotocol)
    unsafe protocols = allocate(
      lws_protocols.self,
      names.enumerated().map { index, name in
        var one = unsafe lws_protocols()
        unsafe one.name = name
        unsafe one.id = 0 < index && index <= configuration.subprotocols.count ? Context.subprotocolID : 0
        unsafe one.callback = unsafe confabCallback
        unsafe one.rx_buffer_size = ReceiveBuffer.size
        unsafe one.tx_packet_size = Segment.limit
        unsafe one.user = UnsafeMutableRawPointer(owner)
        return unsafe one
      } + [unsafe lws_protocols()])
    let name = unsafe string(Compression.name)
    unsafe extensions = allocate(
      lws_extension.self,
      [lws_extension(name: name, callback: confabExtensionCallback, client_offer: name), lws_extension()])
    unsafe headers = list(Context.pageHeaders.map { ($0.0 + ":", $0.1) })
    let types = unsafe mimeTypes()
    // lws opens files only through OpenFile.swift, so its folder does not matter.
    let served = configuration.tls == nil ? [Mount(directory: "/")] : configuration.mounts
    unsafe mounts = served.reversed().reduce(nil) { next, mount in
      var one = unsafe lws_http_mount()
      unsafe one.mount_next = next.map { unsafe UnsafePointer($0) }
      unsafe one.mountpoint = string(mount.path)
      unsafe one.mountpoint_len = UInt8(mount.path.utf8.count)
      unsafe one.origin = string("/")
      unsafe one.def = string(mount.index)
      unsafe one.origin_protocol = UInt8(LWSMPRO_FILE.rawValue)
      // Makes lws ask for headers, LWS_CALLBACK_ADD_HEADERS.
      if configuration.tls != nil { unsafe one.protocol = unsafe protocols.pointee.name }
      unsafe one.extra_mimetypes = types
      // Browsers keep the file, and ask each time whether it has changed (ETag).
      unsafe one.cache_max_age = 1
      unsafe one.cache_reusable = 1
      unsafe one.cache_revalidate = 1
      return unsafe allocate(lws_http_mount.self, [one])
    }
  }

  deinit { unsafe allocations.forEach { unsafe free($0) } }

  /// MIME types, which precede those that lws knows, as an lws list. `*` is any other file.
  private func mimeTypes() -> UnsafePointer<lws_protocol_vhost_options>? {
    unsafe list([
      (".mjs", "text/javascript"), (".js", "text/javascript"), (".css", "text/css; charset=utf-8"),
      (".html", "text/html; charset=utf-8"), (".txt", "text/plain; charset=utf-8"), (".svg", "image/svg+xml"),
      (".json", "application/json"), (".webmanifest", "application/manifest+json"), (".wasm", "application/wasm"),
      (".woff2", "font/woff2"), (".webp", "image/webp"), ("*", "application/octet-stream"),
    ])
  }

  /// Names and values, as an lws list.
  private func list(_ options: [(String, String)]) -> UnsafePointer<lws_protocol_vhost_options>? {
    unsafe options.reversed().reduce(nil) { next, option in
      var one = unsafe lws_protocol_vhost_options()
      unsafe one.next = next
      unsafe one.name = string(option.0)
      unsafe one.value = string(option.1)
      return unsafe UnsafePointer(allocate(lws_protocol_vhost_options.self, [one]))
    }
  }

  func allocate<Value>(_ type: Value.Type, _ values: [Value]) -> UnsafeMutablePointer<Value> {
    let memory = unsafe malloc(max(1, MemoryLayout<Value>.stride * values.count))!
    unsafe allocations.append(memory)
    let start = unsafe memory.bindMemory(to: type, capacity: values.count)
    for (index, value) in values.enumerated() { unsafe (start + index).initialize(to: value) }
    return unsafe start
  }

  func string(_ value: String) -> UnsafePointer<CChar> {
    let copy = unsafe strdup(value)!
    unsafe allocations.append(copy)
    return unsafe UnsafePointer(copy)
  }
}
