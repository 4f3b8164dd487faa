internal import CLibwebsockets

/// Decides on requests that lws has parsed, where TLS is spoken, before it acts on them: lws itself lets nearly every
/// request pass. What ``HttpConnection`` has handed to lws has been decided.
///
/// The callbacks' `in` is not looked at: on a kept-alive connection it may point to freed memory (CVE-2025-11677).
/// Headers are taken by copy, once they are known to be there.
@safe struct LwsGate {
  private let wsi: OpaquePointer
  private let socket: Socket
  private let loop: EventLoop

  init(_ wsi: OpaquePointer) {
    unsafe self.wsi = wsi
    socket = unsafe Socket(wsi)
    loop = unsafe EventLoop.of(wsi)
  }

  /// LWS_CALLBACK_HTTP_CONFIRM_UPGRADE: whether the client goes on to the handshake. Otherwise it has been answered.
  func admitsUpgrade() -> Bool {
    if loop.upgrading?.socket == socket { return true }
    loop.requestArrived(socket)
    // lws has answered other upgrades with 403 already, and comes here nevertheless.
    guard let upgrade = unsafe wsi.header(WSI_TOKEN_UPGRADE), upgrade.lowercased() == "websocket" else {
      let rejection = Gate.Rejection(.badRequest, "no upgrade but to 'websocket'")
      let response = loop.refuse(rejection, socket.client, path: nil)
      if unsafe wsi.header(WSI_TOKEN_UPGRADE)?.lowercased() == "h2c" { socket.answer(response) }
      return false
    }
    guard let gate = identified(), case .upgrade(let authorization) = decide(gate) else { return false }
    let fields = gate.source.head.http.fields
    let extensions = loop.configuration.offersCompression ? fields["sec-websocket-extensions"] : nil
    loop.upgrading = Upgrade(
      socket, gate.source, authorization, extensions: extensions,
      unknownSubprotocol: offerUnknownSubprotocol(fields["sec-websocket-protocol"]))
    return true
  }

  /// LWS_CALLBACK_ADD_HEADERS: lws is about to answer a request. If it is the upgrade that has just been admitted, the
  /// connection begins here, not in LWS_CALLBACK_ESTABLISHED, which comes when the answer is out already: a client that
  /// has the answer is to hear what is said from then on, on whatever loop. Nothing is written before the turn ends.
  /// False ends the connection.
  func answersUpgrade(_ headers: AnswerHeaders) -> Bool {
    guard let upgrade = loop.upgrading, upgrade.socket == socket else { return true }
    loop.upgrading = nil
    let compression = upgrade.isActive ? upgrade.compression : nil
    // What lws has written last, and what it should have.
    let subprotocol = upgrade.unknownSubprotocol.map { "Sec-WebSocket-Protocol: \($0)\r\n" } ?? ""
    let name = "Sec-WebSocket-Extensions: \(Compression.name)"
    let parameters = compression.map { "\(name)\($0.parameters)\r\n" } ?? ""
    guard headers.replace(subprotocol + (compression == nil ? "" : "\(name)\r\n"), by: parameters) else {
      return false
    }
    let source = upgrade.source(agreeingTo: unsafe wsi.subprotocol)
    switch upgrade.authorization {
    case .accept(let context): loop.open(socket, Request(source), compression, context)
    case .ask(let ask):
      guard let answer = headers.hold() else { return false }
      loop.hold(socket, source.head, compression, answer, ask)
    case .refuse: return false
    }
    return true
  }

  /// LWS_CALLBACK_FILTER_HTTP_CONNECTION: whether a request that asks for no upgrade is served from a mount.
  func admitsRequest() -> Bool {
    if socket.ticket.isInternal { return true }
    loop.requestArrived(socket)
    guard let gate = identified(), case .serve = decide(gate) else { return false }
    guard loop.configuration.mounts.serve(gate.source.head.path) else {
      answer(gate.notFound())
      return false
    }
    return true
  }

  /// LWS_CALLBACK_HTTP: no mount has answered.
  func rejectUnserved() {
    if !socket.ticket.isInternal { answer(gate.notFound()) }
  }

  /// LWS_CALLBACK_RAW_RX: lws takes what begins with no method that it knows, and CONNECT, for another protocol.
  func rejectUnknown() {
    loop.requestArrived(socket)
    answer(loop.refuse(Gate.methodNotAllowed, socket.client, path: nil))
  }

  /// The client has not sent a whole request in time.
  func rejectLate() { answer(loop.refuse(loop.lateRejection, socket.client, path: nil)) }

  // MARK: -

  private var gate: Gate {
    let head = RequestHead(unsafe HttpRequest(wsi), subprotocol: nil, address: socket.client)
    let source = RequestSource(head: head, lws: unsafe LwsHeaders(wsi))
    return Gate(loop: loop, source: source, client: socket.client, isEncrypted: socket.isEncrypted, isParsedByLws: true)
  }

  /// Once it is known whose request it is; nil if it has been refused.
  private func identified() -> Gate? {
    do throws(Gate.Rejection) {
      try checkSize()
      if var proxied = loop.proxied[socket] {
        defer { loop.proxied[socket] = proxied }
        try loop.identify(&proxied, &socket.ticket, forwardedFor: unsafe wsi.header(WSI_TOKEN_X_FORWARDED_FOR))
      }
      return gate
    } catch {
      answer(loop.refuse(error, socket.client, path: nil))
      return nil
    }
  }

  private func checkSize() throws(Gate.Rejection) {
    let limit = loop.configuration.maxHeaderSize
    guard unsafe wsi.headerSize <= limit else {
      throw Gate.Rejection(.headersTooLarge, "more than \(limit) bytes of headers")
    }
  }

  private func decide(_ gate: Gate) -> Gate.Decision {
    let decision = gate.decide()
    if case .answer(let response) = decision { answer(response) }
    return decision
  }

  private func answer(_ response: Response) { socket.answer(response, isHead: unsafe wsi.has(WSI_TOKEN_HEAD_URI)) }

  /// Has lws go on with a client that offers no subprotocol of the server's; what it takes for one.
  private func offerUnknownSubprotocol(_ offers: String?) -> String? {
    guard let offers = offers?.listElements.map(String.init),
      !offers.contains(where: loop.configuration.subprotocols.contains)
    else { return nil }
    loop.context.subprotocols.rename(offers[0])
    return offers[0]
  }
}
