internal import CLibwebsockets

/// C memory that lws refers to. Freed with this object, after the context.
@safe final class ContextMemory {
  private var allocations = unsafe [UnsafeMutableRawPointer]()
  private(set) var protocols: UnsafeMutablePointer<lws_protocols>
  private(set) var extensions: UnsafeMutablePointer<lws_extension>
  /// See ``PageHeaders``.
  private(set) var headers: UnsafePointer<lws_protocol_vhost_options>?
  private(set) var mounts: UnsafeMutablePointer<lws_http_mount>?
  /// A policy without timers. Otherwise lws would have two timers for each connection, in a list that it searches from
  /// the beginning for each new timer. The loop does not need them: see Loop/IdleSweep.swift.
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
    unsafe headers = list(PageHeaders.all.map { ($0.0 + ":", $0.1) })
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

  /// Returns the MIME types, which precede lws's own types, as an lws list. `*` is any other file.
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
