internal import CLibwebsockets

/// Decides on requests, before libwebsockets acts on them: lws itself lets nearly every request pass.
///
/// The callbacks' `in` is not looked at: on a kept-alive connection it may point to freed memory (CVE-2025-11677).
/// Headers are taken by copy, once they are known to be there.
@safe struct Gate {
  private let wsi: OpaquePointer
  private let loop: EventLoop
  private var request: Request { unsafe Request(wsi) }

  init(_ wsi: OpaquePointer) {
    unsafe self.wsi = wsi
    loop = unsafe EventLoop.of(wsi)
  }

  /// Why a request is refused.
  private struct Rejection: Error {
    let refusal: Refusal
    let detail: String
    var status: Int?
    var headers: [String: String] = [:]
    /// What is answered, if not the detail.
    var response: Response?
  }

  private func bad(_ detail: String) -> Rejection { Rejection(refusal: .badRequest, detail: detail) }

  // MARK: What is asked

  /// LWS_CALLBACK_HTTP_CONFIRM_UPGRADE: whether the client goes on to the handshake. Otherwise it has been answered.
  func admitsUpgrade() -> Bool {
    loop.requestArrived(unsafe Socket(wsi))
    // lws has answered other upgrades with 403 already, and comes here nevertheless.
    guard let upgrade = unsafe wsi.header(WSI_TOKEN_UPGRADE), upgrade.lowercased() == "websocket" else {
      if unsafe wsi.header(WSI_TOKEN_UPGRADE)?.lowercased() == "h2c" {
        reject(Rejection(refusal: .badRequest, detail: "no upgrade but to 'websocket'"))
      } else {
        loop.admission.refusals.note(.badRequest, unsafe Socket(wsi).peer, "no upgrade but to 'websocket'")
      }
      return false
    }
    var authorization = Authorization.accept()
    let isAdmitted = decide {
      () throws(Rejection) in
      try checkClient()
      try checkEncryption()
      try checkHead()
      try checkHandshake()
      try checkOrigin()
      authorization = loop.handler.authorize(request)
      if case .refuse(let response) = authorization {
        throw Rejection(refusal: .refusedByHandler, detail: "status \(response.status)", response: response)
      }
    }
    let extensions = loop.configuration.offersCompression ? unsafe wsi.header(WSI_TOKEN_EXTENSIONS) : nil
    loop.upgrading =
      isAdmitted
      ? unsafe Upgrade(
        Socket(wsi), authorization, extensions: extensions, unknownSubprotocol: offerUnknownSubprotocol()) : nil
    return isAdmitted
  }

  /// LWS_CALLBACK_ADD_HEADERS: lws is about to answer a request. If it is the upgrade that has just been admitted, the
  /// connection begins here, not in LWS_CALLBACK_ESTABLISHED, which comes when the answer is out already: a client that
  /// has the answer is to hear what is said from then on, on whatever loop. Nothing is written before the turn ends.
  /// False ends the connection.
  func answersUpgrade(_ headers: AnswerHeaders) -> Bool {
    let socket = unsafe Socket(wsi)
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
    switch upgrade.authorization {
    case .accept(let context): loop.open(socket, request, compression, context)
    case .ask(let ask):
      guard let answer = headers.hold() else { return false }
      loop.hold(socket, request, compression, answer, ask)
    case .refuse: return false
    }
    return true
  }

  /// LWS_CALLBACK_FILTER_HTTP_CONNECTION: whether a request that asks for no upgrade is served from a mount.
  func admitsRequest() -> Bool {
    loop.requestArrived(unsafe Socket(wsi))
    var response: Response?
    let isAdmitted = decide {
      () throws(Rejection) in
      try checkClient()
      try checkEncryption()
      try checkHead()
      response = loop.handler.response(to: request)
      if response != nil { return }
      guard loop.configuration.mounts.serve(request.path) else { throw notFound }
    }
    guard let response else { return isAdmitted }
    unsafe Socket(wsi).answer(response, isHead: isHead)
    return false
  }

  /// LWS_CALLBACK_HTTP: no mount has answered.
  func rejectUnserved() { reject(notFound) }

  /// LWS_CALLBACK_RAW_RX: lws takes what begins with no method that it knows, and CONNECT, for another protocol.
  func rejectUnknown() {
    loop.requestArrived(unsafe Socket(wsi))
    reject(Rejection(refusal: .methodNotAllowed, detail: "only GET and HEAD are answered", headers: Gate.allow))
  }

  /// The client has not sent a whole request in time.
  func rejectLate() {
    let limit = loop.configuration.handshakeTimeout.inSeconds
    reject(Rejection(refusal: .handshakeTimeout, detail: "no request within \(limit) s"))
  }

  private func decide(_ check: () throws(Rejection) -> Void) -> Bool {
    do throws(Rejection) {
      try check()
      return true
    } catch {
      reject(error)
      return false
    }
  }

  private func reject(_ rejection: Rejection) {
    let socket = unsafe Socket(wsi)
    let hasTarget = unsafe wsi.has(WSI_TOKEN_GET_URI) || wsi.has(WSI_TOKEN_HEAD_URI)
    loop.admission.refusals.note(
      rejection.refusal, socket.peer, path: hasTarget ? request.path : nil, rejection.detail)
    let response =
      rejection.response
      ?? Response(
        status: rejection.status ?? rejection.refusal.status ?? 400, headers: rejection.headers,
        rejection.detail.printable + "\n")
    socket.answer(response, isHead: isHead)
  }

  private var isHead: Bool { unsafe wsi.has(WSI_TOKEN_HEAD_URI) }

  private var notFound: Rejection {
    Rejection(refusal: .notFound, detail: "nothing is served at \(request.path)")
  }

  private static let allow = ["Allow": "GET, HEAD"]

  // MARK: What is checked

  /// Whose request it is, when a trusted proxy hands it on, and that it is not one too many.
  private func checkClient() throws(Rejection) {
    guard !loop.proxied.isEmpty,
      let rejection = loop.identify(unsafe Socket(wsi), forwardedFor: unsafe wsi.header(WSI_TOKEN_X_FORWARDED_FOR))
    else { return }
    let headers = rejection.refusal == .badRequest ? [:] : Admission.Rejection.headers
    throw Rejection(refusal: rejection.refusal, detail: rejection.detail, headers: headers)
  }

  /// Where TLS is spoken, nothing goes without. A browser that asks for a page is sent to where it is.
  private func checkEncryption() throws(Rejection) {
    guard loop.configuration.tls != nil, unsafe !Socket(wsi).isEncrypted else { return }
    var rejection = Rejection(refusal: .notEncrypted, detail: "TLS is spoken here: https and wss")
    let host = unsafe wsi.header(WSI_TOKEN_HOST).flatMap { Authority($0) }
    if let host, unsafe !wsi.has(WSI_TOKEN_UPGRADE), unsafe wsi.has(WSI_TOKEN_GET_URI) || wsi.has(WSI_TOKEN_HEAD_URI) {
      rejection.status = 308
      let port = host.port.map { ":\($0)" } ?? ""
      let query = request.query.map(\.percentEncoded).joined(separator: "&")
      let target = request.path.percentEncoded + (query.isEmpty ? "" : "?\(query)")
      rejection.headers = ["Location": "https://\(host.host)\(port)\(target)"]
    }
    throw rejection
  }

  /// What every request must be like: RFC 9112, sections 2 to 6; bodies are not for this server.
  private func checkHead() throws(Rejection) {
    let configuration = loop.configuration
    guard unsafe wsi.has(WSI_TOKEN_GET_URI) != wsi.has(WSI_TOKEN_HEAD_URI) else {
      throw Rejection(refusal: .methodNotAllowed, detail: "only GET and HEAD are answered", headers: Gate.allow)
    }
    let size = unsafe wsi.headerSize
    guard size <= configuration.maxHeaderSize else {
      throw Rejection(
        refusal: .headersTooLarge, detail: "more than \(configuration.maxHeaderSize) bytes of headers")
    }
    guard request.path.utf8.count <= configuration.maxPathLength else {
      throw Rejection(
        refusal: .pathTooLong, detail: "a path of more than \(configuration.maxPathLength) bytes")
    }
    if unsafe wsi.has(WSI_TOKEN_HTTP_TRANSFER_ENCODING) {
      throw Rejection(refusal: .bodyNotAllowed, detail: "a body, with Transfer-Encoding")
    }
    if let length = unsafe wsi.header(WSI_TOKEN_HTTP_CONTENT_LENGTH) {
      // Several are joined by lws, and so are no number.
      guard !length.isEmpty, length.utf8.allSatisfy({ 48...57 ~= $0 }) else {
        throw bad("Content-Length is '\(length)'")
      }
      guard length.utf8.allSatisfy({ $0 == 48 }) else {
        throw Rejection(refusal: .bodyNotAllowed, detail: "a body of \(length) bytes")
      }
    }
    let host = unsafe wsi.header(WSI_TOKEN_HOST)
    let version = unsafe wsi.header(WSI_TOKEN_HTTP)
    guard version == "HTTP/1.1" || version == "HTTP/1.0" else { throw bad("not HTTP/1.1") }
    if host == nil && version == "HTTP/1.1" { throw bad("no Host header") }
    guard let host else { return }
    guard let authority = Authority(host) else { throw bad("Host is '\(host)'") }
    let hosts = configuration.allowedHosts
    guard hosts.isEmpty || hosts.contains(where: { $0.lowercased() == authority.host }) else {
      throw Rejection(
        refusal: .hostNotAllowed,
        detail: "host '\(authority.host)' is not served here (--allow-host \(authority.host) would let it in)")
    }
  }

  /// What an opening handshake must have: RFC 6455, section 4.2.1.
  private func checkHandshake() throws(Rejection) {
    guard unsafe wsi.has(WSI_TOKEN_GET_URI) else { throw bad("a handshake must be a GET") }
    guard unsafe wsi.header(WSI_TOKEN_HTTP) == "HTTP/1.1" else { throw bad("a handshake must be HTTP/1.1") }
    let connection = unsafe wsi.header(WSI_TOKEN_CONNECTION) ?? ""
    guard connection.listElements.contains(where: { $0.lowercased() == "upgrade" }) else {
      throw bad("no 'Connection: Upgrade'")
    }
    guard unsafe wsi.header(WSI_TOKEN_VERSION) == "13" else {
      throw Rejection(
        refusal: .versionNotSupported, detail: "only version 13 of WebSocket is spoken",
        headers: ["Sec-WebSocket-Version": "13", "Upgrade": "websocket"])
    }
    let extensions = unsafe wsi.header(WSI_TOKEN_EXTENSIONS) ?? ""
    guard Upgrade.canRead(extensions: extensions, isOffered: loop.configuration.offersCompression) else {
      throw Rejection(
        refusal: .headersTooLarge, detail: "more than \(Upgrade.maxOffers) bytes of Sec-WebSocket-Extensions")
    }
    if let offers = unsafe wsi.header(WSI_TOKEN_PROTOCOL) {
      guard offers.utf8.count <= Subprotocols.maxOffers else {
        throw Rejection(
          refusal: .headersTooLarge, detail: "more than \(Subprotocols.maxOffers) bytes of Sec-WebSocket-Protocol")
      }
      let names = offers.listElements
      guard !names.isEmpty, names.allSatisfy({ String($0).isToken && $0.utf8.count <= Subprotocols.maxName }) else {
        throw bad("Sec-WebSocket-Protocol must be tokens of at most \(Subprotocols.maxName) bytes")
      }
      // lws takes it for a number (lib/misc/lws-tokenize.c), and drops the connection.
      guard !names.contains(where: { ("0"..."9").contains($0.first!) }) else {
        throw bad("a subprotocol that begins with a digit")
      }
    }
    guard let key = unsafe wsi.header(WSI_TOKEN_KEY), key.isHandshakeKey else {
      throw bad("Sec-WebSocket-Key must be 16 bytes in base64")
    }
  }

  /// Has lws go on with a client that offers no subprotocol of the server's; what it takes for one.
  private func offerUnknownSubprotocol() -> String? {
    guard let offers = unsafe wsi.header(WSI_TOKEN_PROTOCOL)?.listElements.map(String.init),
      !offers.contains(where: loop.configuration.subprotocols.contains)
    else { return nil }
    loop.context.subprotocols.rename(offers[0])
    return offers[0]
  }

  private func checkOrigin() throws(Rejection) {
    let origin = request.origin
    guard !loop.originPolicy.admits(origin: origin, host: unsafe wsi.header(WSI_TOKEN_HOST)) else { return }
    let remedy =
      origin.map { "origin '\($0)' is not let in (--allow-origin \($0) would do it)" }
      ?? "no Origin header, which --require-origin asks for"
    throw Rejection(refusal: .originNotAllowed, detail: remedy)
  }
}
