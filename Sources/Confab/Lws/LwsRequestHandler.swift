internal import CLibwebsockets

/// Decides on requests that lws has parsed, which it does where TLS is used. It decides before lws acts on them: lws
/// itself lets nearly every request pass. Requests that ``HttpConnection`` hands to lws are decided already.
///
/// The callbacks' `in` is not read before it is certain that the header exists and that lws goes on with it. Otherwise
/// it may point to freed memory (CVE-2025-11677). Headers are copied.
@safe struct LwsRequestHandler {
  private let wsi: OpaquePointer
  private let socket: Socket
  private let loop: EventLoop

  init(_ wsi: OpaquePointer) {
    unsafe self.wsi = wsi
    socket = unsafe Socket(wsi)
    loop = unsafe Context.of(wsi)!.loop!
  }

  /// Handles LWS_CALLBACK_HTTP_CONFIRM_UPGRADE: returns whether the client goes on to the handshake. If not, it has
  /// been answered.
  ///
  /// - Parameter header: the Upgrade field as lws has it.
  func admitsUpgrade(_ header: UnsafeRawPointer?) -> Bool {
    if loop.context.exchange.isUpgrading(socket) { return true }
    loop.handshakes.end(socket)
    // lws has answered other upgrades with 403 already, and still makes this callback.
    guard let upgrade = unsafe wsi.header(WSI_TOKEN_UPGRADE), upgrade.lowercased() == "websocket" else {
      let rejection = Rejection(.badRequest, "the only upgrade supported is 'websocket'")
      let response = loop.reject(rejection, socket.client, path: nil)
      if unsafe wsi.header(WSI_TOKEN_UPGRADE)?.lowercased() == "h2c" { socket.answer(response) }
      return false
    }
    guard let check = unsafe identified(near: header), case .upgrade(let authorization) = decide(check) else {
      return false
    }
    let fields = check.source.head.http.fields
    let extensions = loop.configuration.offersCompression ? fields["sec-websocket-extensions"] : nil
    loop.context.exchange.begin(
      Upgrade(
        socket, check.source, authorization, extensions: extensions,
        unknownSubprotocol: offerUnknownSubprotocol(fields["sec-websocket-protocol"])))
    return true
  }

  /// Handles LWS_CALLBACK_ADD_HEADERS: lws is about to answer a request. If that is the upgrade which has just been
  /// admitted, the connection is opened here. LWS_CALLBACK_ESTABLISHED comes after the response has been sent, which is
  /// too late: a client that has the response must receive everything that is published from then on, on any loop.
  /// Nothing is written before the turn ends. Returns false to end the connection.
  func answersUpgrade(_ headers: AnswerHeaders) -> Bool {
    if let served = loop.context.exchange.takeFile(of: socket) {
      return headers.replace(served.tagOfLws, by: served.file.validators.lines.map { "\($0)\r\n" }.joined())
    }
    guard let upgrade = loop.context.exchange.takeUpgrade(of: socket) else { return true }
    let compression = upgrade.isActive ? upgrade.compression : nil
    // The headers that lws has written last, and their replacements.
    let subprotocol = upgrade.unknownSubprotocol.map { "Sec-WebSocket-Protocol: \($0)\r\n" } ?? ""
    let name = "Sec-WebSocket-Extensions: \(Compression.name)"
    let parameters = compression.map { "\(name)\($0.parameters)\r\n" } ?? ""
    var ownLines = ""
    if case .accept(let acceptance) = upgrade.authorization { ownLines = acceptance.headerLines }
    let linesOfLws = subprotocol + (compression == nil ? "" : "\(name)\r\n")
    guard headers.replace(linesOfLws, by: parameters + ownLines) else {
      return answerUnknownForm()
    }
    let source = upgrade.source(agreeingTo: unsafe wsi.subprotocol)
    switch upgrade.authorization {
    case .accept(let acceptance): loop.open(socket, Request(source), compression, acceptance)
    case .ask(let ask):
      guard let answer = headers.hold() else { return answerUnknownForm() }
      loop.open(socket, source.head, compression, answer, ask)
    case .reject: return false
    }
    return true
  }

  /// Handles LWS_CALLBACK_FILTER_HTTP_CONNECTION: returns whether a request without an upgrade is served from a mount.
  ///
  /// - Parameter target: the path as lws has it.
  func admitsRequest(_ target: UnsafeRawPointer?) -> Bool {
    if socket.ticket.isInternal { return true }
    loop.handshakes.end(socket)
    guard let check = unsafe identified(near: target), case .serve = decide(check) else { return false }
    switch check.findFile() {
    case .send(let file): loop.context.exchange.begin(LwsFile(socket: socket, file: file, isNotModified: false))
    case .notModified(let file): loop.context.exchange.begin(LwsFile(socket: socket, file: file, isNotModified: true))
    case .answer(let response):
      answer(response)
      return false
    }
    return true
  }

  /// lws truncates long file names (lib/roles/http/server/server.c, `lws_http_serve`), and with them their suffix.
  private static let maxFilePath = 200

  /// Handles LWS_CALLBACK_HTTP: the mount has not answered, because it got no file to open. Returns false to end the
  /// connection.
  func answersUnserved() -> Bool {
    guard let served = loop.context.exchange.takeFile(of: socket) else { return false }
    guard served.isNotModified else {
      answer(check.notFound())
      return false
    }
    let head = (PageHeaders.notModified + served.file.validators.lines).headBytes
    guard socket.write(head.span) == .taken else { return false }
    return unsafe lws_http_transaction_completed(wsi) == 0
  }

  /// Handles LWS_CALLBACK_RAW_RX: lws takes CONNECT, and data that does not begin with a method that it knows, for
  /// another protocol.
  func rejectUnknown() {
    loop.handshakes.end(socket)
    answer(loop.reject(RequestCheck.methodNotAllowed, socket.client, path: nil))
  }

  /// Answers a client that has not sent a whole request in time.
  func rejectLate() { answer(loop.reject(loop.lateRejection, socket.client, path: nil)) }

  // MARK: -

  private var check: RequestCheck {
    let head = RequestHead(unsafe HttpRequest(wsi), subprotocol: nil, address: socket.client)
    let source = RequestSource(head: head, lws: unsafe LwsHeaders(wsi))
    return RequestCheck(
      loop: loop, source: source, client: socket.client, isEncrypted: socket.isEncrypted,
      checkFields: { fields throws(Rejection) in
        try checkLists(fields, offersCompression: loop.configuration.offersCompression)
      }, maxFilePath: LwsRequestHandler.maxFilePath)
  }

  /// Returns the check, once the client of the request is known; nil if the request has been rejected.
  private func identified(near header: UnsafeRawPointer?) -> RequestCheck? {
    do throws(Rejection) {
      if let header = unsafe header, unsafe wsi.hasGarbledHeader(near: header) {
        throw Rejection(.badRequest, "a header that libwebsockets cannot read")
      }
      if unsafe wsi.hasPathInParts {
        throw Rejection(.badRequest, "a path with '&' or ';', which libwebsockets cannot read")
      }
      try checkSize()
      if var proxied = loop.proxied[socket] {
        defer { loop.proxied[socket] = proxied }
        try loop.identify(&proxied, &socket.ticket, forwardedFor: unsafe wsi.header(WSI_TOKEN_X_FORWARDED_FOR))
      }
      return check
    } catch {
      answer(loop.reject(error, socket.client, path: nil))
      return nil
    }
  }

  private func checkSize() throws(Rejection) {
    let limit = loop.configuration.maxHeaderSize
    guard unsafe wsi.headerSize <= limit else {
      throw Rejection(.headersTooLarge, "more than \(limit) bytes of headers")
    }
  }

  private func decide(_ check: RequestCheck) -> RequestCheck.Decision {
    let decision = check.decide()
    if case .answer(let response) = decision { answer(response) }
    return decision
  }

  /// Answers a client whose upgrade lws was about to accept in a form that ``AnswerHeaders`` does not know. Returns
  /// false, to end the connection.
  private func answerUnknownForm() -> Bool {
    let detail = "libwebsockets \(LwsFeatures.version) answers in a form that the server does not know"
    answer(loop.reject(Rejection(.badRequest, detail, status: 500), socket.client, path: nil))
    return false
  }

  private func answer(_ response: Response) { socket.answer(response, isHead: unsafe wsi.has(WSI_TOKEN_HEAD_URI)) }

  /// Makes lws go on with a client that offers none of the server's subprotocols. Returns the name that lws takes for
  /// the agreed subprotocol.
  private func offerUnknownSubprotocol(_ offers: String?) -> String? {
    guard let offers = offers?.listElements.map(String.init),
      !offers.contains(where: loop.configuration.subprotocols.contains)
    else { return nil }
    loop.context.subprotocols.rename(offers[0])
    return offers[0]
  }
}
