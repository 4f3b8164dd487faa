// Clients behind a trusted proxy. The PROXY protocol names the client before anything else, TLS included, and
// X-Forwarded-For names it with each request. The socket is read for requests once the PROXY header has arrived.

/// A connection that a trusted proxy has made.
struct Proxied {
  /// The peer of the connection: the proxy, or the address in the PROXY header.
  let hop: SocketAddress
  /// The client of the last request.
  var client: SocketAddress
}

extension EventLoop {
  /// Identifies the client of a request. Throws a rejection if X-Forwarded-For cannot be read, or if the client has too
  /// many connections. A trusted proxy's request without X-Forwarded-For, or with an empty one, is the proxy's own: a
  /// health check, for example. It counts for the proxy's address like any client's.
  func identify(
    _ caller: inout Proxied, _ ticket: inout Admission.Ticket, forwardedFor header: String?
  ) throws(Rejection) {
    guard admission.trustedProxies.contain(caller.hop) else { return }
    let addresses = header ?? ""
    guard let client = addresses.isEmpty ? caller.hop : admission.trustedProxies.client(forwardedFor: addresses) else {
      throw Rejection(.badRequest, "X-Forwarded-For is '\(addresses)'")
    }
    caller.client = client
    ticket = try admission.exchange(ticket, for: client, isIdentified: true)
  }
}

/// The connections of trusted proxies that lws reads.
struct ProxiedSockets {
  private var all: [Socket: Proxied] = [:]

  subscript(socket: Socket) -> Proxied? {
    get { all.isEmpty ? nil : all[socket] }
    set { all[socket] = newValue }
  }

  /// Removes a connection that has ended, and returns the client of its last request.
  mutating func remove(_ socket: Socket) -> SocketAddress? {
    all.isEmpty ? nil : all.removeValue(forKey: socket)?.client
  }
}

extension [AddressRange] {
  /// Returns the client of a request that one of these proxies has forwarded with this X-Forwarded-For header: the
  /// rightmost address that is not a trusted proxy, or the leftmost one if all are. Addresses to the left of it are
  /// ignored, because the client can forge them. Returns nil if the header has no address, or if the client's address
  /// or an address to its right is unreadable.
  func client(forwardedFor header: String) -> SocketAddress? {
    var client: SocketAddress?
    for element in header.listElements.reversed() {
      guard let address = SocketAddress(forwarded: String(element)) else { return nil }
      client = address
      if !contain(address) { break }
    }
    return client
  }
}

extension SocketAddress {
  /// Parses an address as proxies write it, with or without a port.
  fileprivate init?(forwarded text: String) {
    guard text.utf8.allSatisfy({ 0x20 < $0 && $0 < 0x7F }) else { return nil }
    var host = text.utf8[...]
    var port = 0
    let colon = UInt8(ascii: ":")
    if let end = host.lastIndex(of: colon), text.begins(with: "[") || host.firstIndex(of: colon) == end,
      let number = UInt16(text[text.index(after: end)...])
    {
      (host, port) = (host[..<end], Int(number))
    }
    if host.first == UInt8(ascii: "["), host.last == UInt8(ascii: "]") { host = host.dropFirst().dropLast() }
    self.init(numeric: String(Substring(host)), port: port)
  }
}
