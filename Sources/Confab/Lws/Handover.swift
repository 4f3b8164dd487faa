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
  /// Hands a client's socket to lws, to become a WebSocket. `rest` contains the bytes that the client has sent after
  /// its request.
  func handOver(
    _ socket: StreamSocket, _ ticket: Admission.Ticket, _ proxied: Proxied?, _ source: RequestSource,
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
      socket, Handover(ticket: ticket, proxied: proxied, upgrade: upgrade, file: nil),
      Array((request + "\r\n").utf8) + rest)
    if !result.wasAdopted { admission.leave(ticket) }
    result.socket?.boundConnection?.hasIntactInput()
    // lws has not answered the upgrade.
    if let socket = result.socket, context.exchange.takeUpgrade(of: socket) != nil { socket.kill() }
  }

  /// Hands over a socket for lws to decrypt. Returns nil if lws closes it, because the TLS handshake failed at once.
  /// The LWS_CALLBACK_WSI_DESTROY of such a socket comes in a later turn, and finds no ticket.
  func handOver(_ socket: StreamSocket, _ ticket: Admission.Ticket, _ proxied: Proxied?) -> Socket? {
    context.exchange.handover = Handover(ticket: ticket, proxied: proxied, upgrade: nil, file: nil)
    defer { context.exchange.handover = nil }
    return context.adopt(socket)
  }

  /// Makes lws send a file to a socket.
  func handOver(_ socket: StreamSocket, _ file: OpenFile, isHead: Bool) {
    // lws derives the type from the end of the name, and opens the file by ``FileOperations``.
    let method = isHead ? "HEAD" : "GET"
    let request = "\(method) /file\(file.suffix) HTTP/1.1\r\nHost: confab\r\nConnection: close\r\n\r\n"
    let handover = Handover(ticket: .internal, proxied: nil, upgrade: nil, file: file)
    _ = handOver(socket, handover, Array(request.utf8))
  }

  private func handOver(
    _ socket: StreamSocket, _ handover: Handover, _ bytes: [UInt8]
  ) -> (socket: Socket?, wasAdopted: Bool) {
    context.exchange.handover = handover
    defer { context.exchange.handover = nil }
    return (context.adopt(socket, reading: bytes), context.exchange.handover!.isAdopted)
  }

  /// Handles LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED: lws has made a connection of a socket.
  func wasAdopted(_ socket: Socket) {
    guard let handover = context.exchange.adopt(socket) else { return }
    socket.ticket = handover.ticket
    if let proxied = handover.proxied { self.proxied[socket] = proxied }
  }
}

/// The request that lws handles within one call: a socket that it is handed, an upgrade that is being answered, or a
/// file that is about to be sent.
struct LwsExchange {
  /// The socket that lws is being handed.
  fileprivate(set) var handover: Handover?
  /// The admitted upgrade, until it is answered.
  private var upgrade: Upgrade?
  /// The file of a request that lws has parsed, until it is answered.
  private var file: LwsFile?

  /// Begins an upgrade that lws has asked about.
  mutating func begin(_ upgrade: Upgrade) { self.upgrade = upgrade }

  mutating func begin(_ file: LwsFile) { self.file = file }

  /// Notes that lws has made a connection of the socket that it is handed. Returns the handover, once.
  fileprivate mutating func adopt(_ socket: Socket) -> Handover? {
    guard let handover, !handover.isAdopted else { return nil }
    self.handover?.isAdopted = true
    upgrade = handover.upgrade
    upgrade?.socket = socket
    return handover
  }

  func isUpgrading(_ socket: Socket) -> Bool { upgrade?.socket == socket }

  /// Returns whether lws is to take this offer of the extension.
  mutating func takesOffer(_ socket: Socket) -> Bool {
    guard let upgrade, upgrade.socket == socket, upgrade.compression != nil else { return false }
    self.upgrade?.offersLeft -= 1
    return upgrade.offersLeft == 0
  }

  /// Notes that lws has taken the offer of the extension.
  mutating func tookOffer() { upgrade?.isActive = true }

  /// Ends the upgrade of a connection, and returns it.
  mutating func takeUpgrade(of socket: Socket) -> Upgrade? {
    guard isUpgrading(socket) else { return nil }
    return exchange(&upgrade, with: nil)
  }

  /// Ends the response with a file, and returns the file.
  mutating func takeFile(of socket: Socket) -> LwsFile? {
    guard let file, file.socket == socket else { return nil }
    self.file = nil
    return file
  }

  /// The file that lws is to open, whatever name lws uses for it.
  var fileToOpen: OpenFile? {
    if let handover { return handover.file }
    return file.flatMap { $0.isNotModified ? nil : $0.file }
  }

  /// Ends the upgrade and the response with a file of a connection that has ended.
  mutating func forget(_ socket: Socket) {
    _ = takeUpgrade(of: socket)
    _ = takeFile(of: socket)
  }
}
