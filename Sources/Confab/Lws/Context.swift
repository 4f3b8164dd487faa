internal import CLibwebsockets
internal import Glibc
internal import Synchronization

/// The libwebsockets context of one event loop, on its libuv loop, with one vhost that listens nowhere: sockets come
/// from a ``Listener``.
@safe final class Context {
  /// The event loop that it serves. Set before the loop runs.
  private(set) weak var loop: EventLoop?
  /// Where lws writes nil when the context is gone.
  private let context: UnsafeMutablePointer<OpaquePointer?>
  private var vhost: OpaquePointer?
  private let eventPipe: EventPipe
  /// What lws refers to by address as long as the context lives.
  private let memory: Memory
  private var fileOperations: FileOperations?
  let certificate: Certificate?
  let subprotocols: Subprotocols

  /// lws keeps what all contexts share without locks: contexts are made one after the other.
  private static let making = Mutex(())

  init(_ configuration: Configuration, _ certificate: Certificate?, on uv: UvLoop) throws(ConfabError) {
    ReceiveBuffer.install()
    let subprotocols = Subprotocols()
    let memory = unsafe Memory(configuration, unknownSubprotocol: subprotocols.unknown)
    var info = unsafe lws_context_creation_info()
    unsafe info.port = CONTEXT_PORT_NO_LISTEN_SERVER
    unsafe info.options = UInt64(
      LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS
        // What begins with no method that lws knows comes to LWS_CALLBACK_RAW_RX, to be answered.
        | LWS_SERVER_OPTION_FALLBACK_TO_APPLY_LISTEN_ACCEPT_CONFIG)
    if let certificate {
      HeaderTables.areWatched.store(true, ordering: .relaxed)
      unsafe info.options |= UInt64(
        LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX
          // For the gate to answer, which see.
          | Int64(shim_ALLOW_NON_SSL_ON_SSL_PORT) | LWS_SERVER_OPTION_ALLOW_HTTP_ON_HTTPS_LISTENER)
      unsafe info.user = Unmanaged.passUnretained(certificate).toOpaque()
      unsafe info.provided_client_ssl_ctx = certificate.unusedClient
      // Not h2.
      unsafe info.alpn = memory.string("http/1.1")
    }
    // A request that is over the limit is answered as long as it fits in here; beyond, lws drops it.
    unsafe info.max_http_header_data = UInt16(configuration.maxHeaderSize * 2)
    // The loop sees to it that a request comes in time, and answers those that don't. This is for what it can't see: how
    // long a client may pause while it takes a file.
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
    // nonisolated(unsafe): the lock's closure is run here and now.
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

  /// What the server's own subprotocols have as their id.
  static let subprotocolID: UInt32 = 1

  /// What each answer with a file has: what lws calls best practices, with the manifest of a page that can be installed,
  /// which lws's own list forbids.
  static let pageHeaders = [
    (
      "content-security-policy",
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        + "connect-src 'self' ws: wss:; manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    ("x-content-type-options", "nosniff"), ("x-frame-options", "deny"), ("referrer-policy", "no-referrer"),
  ]

  /// What lws makes of the settings of the mounts.
  static let cacheControl = "must-revalidate, private, max-age=1"

  /// The scratch buffer of a context: a read takes this much at the most, and HTTP responses are made in it.
  static let serviceBufferSize = 64 * 1024

  /// Calls `loop` back from now on. On its thread.
  func serve(_ loop: EventLoop, on uv: UvLoop) {
    self.loop = loop
    // Unretained: the event loop owns this context.
    unsafe memory.owner.pointee = Unmanaged.passUnretained(self).toOpaque()
    unsafe shim_report_poll_changes(context.pointee, uv.loop)
  }

  /// The context of a connection; nil for what lws opens for itself.
  static func of(_ wsi: OpaquePointer) -> Context? {
    guard let user = unsafe lws_get_protocol(wsi)?.pointee.user else { return nil }
    let owner = unsafe user.assumingMemoryBound(to: UnsafeMutableRawPointer?.self).pointee
    return unsafe owner.map { unsafe Unmanaged<Context>.fromOpaque($0).takeUnretainedValue() }
  }

  /// Hands an accepted socket to lws. Nil when it can't take it: the socket has been closed then.
  func adopt(_ descriptor: Int32, _ ticket: Admission.Ticket) -> Socket? {
    guard let vhost = unsafe vhost else {
      _ = close(descriptor)
      return nil
    }
    var description = unsafe lws_adopt_desc_t()
    unsafe description.vh = vhost
    unsafe description.type = lws_adoption_type(
      rawValue: LWS_ADOPT_SOCKET.rawValue | LWS_ADOPT_HTTP.rawValue | LWS_ADOPT_ALLOW_SSL.rawValue)
    unsafe description.fd.sockfd = descriptor
    unsafe description.opaque = UnsafeMutableRawPointer(bitPattern: ticket.rawValue)
    return unsafe lws_adopt_descriptor_vhost_via_info(&description).map { unsafe Socket($0) }
  }

  /// Hands a socket to lws with bytes that have been read from it, which lws serves at once. ``EventLoop/wasAdopted(_:)``
  /// is called for it unless lws can't take it: the socket has been closed then. Nil if lws has ended it.
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

  /// Closes every connection, without close frames. Called once while the libuv loop runs and once when it has ended:
  /// on a loop that lws does not own, the second call frees what the closing of the loop's handles had to wait for.
  func destroy() {
    if let context = unsafe context.pointee { unsafe lws_context_destroy(context) }
    if unsafe vhost != nil { eventPipe.wasClosed() }
    unsafe vhost = nil
  }
}

/// C memory that lws refers to, freed with this object, after the context.
@safe private final class Memory {
  private var allocations = unsafe [UnsafeMutableRawPointer]()
  private(set) var protocols: UnsafeMutablePointer<lws_protocols>
  private(set) var extensions: UnsafeMutablePointer<lws_extension>
  /// See ``Context/pageHeaders``.
  private(set) var headers: UnsafePointer<lws_protocol_vhost_options>?
  private(set) var mounts: UnsafeMutablePointer<lws_http_mount>?
  /// lws would have two timers for each connection, in a list that each new one is sorted into from its beginning. The
  /// loop does it without: see KeepAlive.swift.
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
    // The first one is for HTTP and for clients that ask for no subprotocol. No client can ask for it: not a token.
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
    // lws opens no file by itself, see OpenFile.swift: so it does not matter where it looks for one.
    let served = configuration.tls == nil ? [Mount(directory: "/")] : configuration.mounts
    unsafe mounts = served.reversed().reduce(nil) { next, mount in
      var one = unsafe lws_http_mount()
      unsafe one.mount_next = next.map { unsafe UnsafePointer($0) }
      unsafe one.mountpoint = string(mount.path)
      unsafe one.mountpoint_len = UInt8(mount.path.utf8.count)
      unsafe one.origin = string("/")
      unsafe one.def = string(mount.index)
      unsafe one.origin_protocol = UInt8(LWSMPRO_FILE.rawValue)
      // Has lws ask for headers, LWS_CALLBACK_ADD_HEADERS.
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

  /// The types of files that lws does not know, as a list of its kind; `*` is any other file.
  private func mimeTypes() -> UnsafePointer<lws_protocol_vhost_options>? {
    unsafe list([
      (".mjs", "text/javascript"), (".js", "text/javascript"), (".css", "text/css; charset=utf-8"),
      (".html", "text/html; charset=utf-8"), (".txt", "text/plain; charset=utf-8"), (".svg", "image/svg+xml"),
      (".json", "application/json"), (".webmanifest", "application/manifest+json"), (".wasm", "application/wasm"),
      (".woff2", "font/woff2"), (".webp", "image/webp"), ("*", "application/octet-stream"),
    ])
  }

  /// Names and values, as lws has them.
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
