internal import CLibwebsockets

// lws gets a socket together with a request that this server has made for it, and serves the request within the call.
// The request has a canonical form that lws cannot misread, and contains only what lws needs.

/// A socket that is being handed to lws.
struct Handover {
  let ticket: Admission.Ticket
  let proxied: Proxied?
  /// The upgrade that the request asks for.
  let upgrade: Upgrade?
  let file: OpenFile?
  fileprivate(set) var isAdopted = false
}

extension EventLoop {
  /// Hands a client's socket to lws, to become a WebSocket. `rest` is what the client has sent after its request.
  func handOver(
    _ descriptor: Int32, _ ticket: Admission.Ticket, _ proxied: Proxied?, _ source: RequestSource,
    _ authorization: Authorization, rest: [UInt8]
  ) {
    let fields = source.head.http.fields
    let offers = configuration.offersCompression ? fields["sec-websocket-extensions"] : nil
    let compression = offers.flatMap { Compression(offers: $0) }
    let subprotocol = fields["sec-websocket-protocol"].flatMap { offers in
      offers.listElements.first { offer in configuration.subprotocols.contains { $0.isSame(as: offer) } }
    }
    var request = "GET / HTTP/1.1\r\nHost: confab\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    request += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \(fields["sec-websocket-key"]!)\r\n"
    if let subprotocol { request += "Sec-WebSocket-Protocol: \(subprotocol)\r\n" }
    if compression != nil { request += "Sec-WebSocket-Extensions: \(Compression.name)\r\n" }
    let upgrade = Upgrade(source, authorization, compression)
    let result = handOver(
      descriptor, Handover(ticket: ticket, proxied: proxied, upgrade: upgrade, file: nil),
      Array((request + "\r\n").utf8) + rest)
    if !result.wasAdopted { admission.leave(ticket) }
    // lws has not answered the upgrade.
    if let socket = result.socket, upgrading?.socket == socket {
      upgrading = nil
      socket.kill()
    }
  }

  /// Hands over a socket for lws to decrypt. Returns nil if lws closes it, because the TLS handshake failed at once. The
  /// LWS_CALLBACK_WSI_DESTROY of such a socket comes in a later turn, and finds no ticket.
  func handOver(_ descriptor: Int32, _ ticket: Admission.Ticket, _ proxied: Proxied?) -> Socket? {
    handover = Handover(ticket: ticket, proxied: proxied, upgrade: nil, file: nil)
    defer { handover = nil }
    return context.adopt(descriptor)
  }

  /// Makes lws send a file to a socket.
  func handOver(_ descriptor: Int32, _ file: OpenFile, isHead: Bool) {
    // lws derives the type from the end of the name, and opens the file by ``FileOperations``.
    let method = isHead ? "HEAD" : "GET"
    let request = "\(method) /file\(file.suffix) HTTP/1.1\r\nHost: confab\r\nConnection: close\r\n\r\n"
    let handover = Handover(ticket: .internal, proxied: nil, upgrade: nil, file: file)
    _ = handOver(descriptor, handover, Array(request.utf8))
  }

  private func handOver(
    _ descriptor: Int32, _ handover: Handover, _ bytes: [UInt8]
  ) -> (socket: Socket?, wasAdopted: Bool) {
    self.handover = handover
    defer { self.handover = nil }
    return (context.adopt(descriptor, reading: bytes), self.handover!.isAdopted)
  }

  /// Handles LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED: lws has made a connection of a socket.
  func wasAdopted(_ socket: Socket) {
    guard let handover, !handover.isAdopted else { return }
    self.handover?.isAdopted = true
    socket.ticket = handover.ticket
    if let proxied = handover.proxied { self.proxied[socket] = proxied }
    upgrading = handover.upgrade
    upgrading?.socket = socket
  }
}
