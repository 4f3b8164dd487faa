/// Decides what a request gets: a WebSocket, a file, a response, or a rejection. The status of a rejection is that of
/// its reason, see ``RejectionReason/status``.
struct RequestCheck {
  let loop: EventLoop
  let source: RequestSource
  /// The client that has sent the request; nil if the peer has gone.
  let client: SocketAddress?
  /// Whether the bytes of the request were encrypted.
  var isEncrypted = false
  /// Checks the header fields of a handshake further.
  var checkFields: (HeaderFields) throws(Rejection) -> Void = { _ in }
  /// Maximum length of a file's path, in bytes.
  var maxFilePath = Int.max

  private var http: HttpRequest { source.head.http }
  private var request: Request { Request(source) }

  enum Decision {
    case upgrade(Authorization)
    /// The request is for a file, which may not exist.
    case serve
    case answer(Response)
  }

  func decide() -> Decision {
    do throws(Rejection) {
      try checkEncryption()
      try checkRequest()
      if http.method == .options { return .answer(Response(status: 204, headers: RequestCheck.allow, "")) }
      if http.asksForWebSocket { return .upgrade(try authorize()) }
      if let response = loop.handler.response(to: request) { return .answer(response) }
      return .serve
    } catch {
      return .answer(reject(error))
    }
  }

  private func authorize() throws(Rejection) -> Authorization {
    try checkHandshake()
    try checkOrigin()
    let authorization = loop.handler.authorize(request)
    if case .reject(let response) = authorization {
      throw Rejection(.rejectedByHandler, "status \(response.status)", response: response)
    }
    return authorization
  }

  enum FileDecision {
    case send(OpenFile)
    /// The client's copy of the file is up to date.
    case notModified(OpenFile)
    case answer(Response)
  }

  /// Decides what a request gets after ``Decision/serve``.
  func findFile() -> FileDecision {
    switch loop.configuration.mounts.find(http.target.path) {
    case .nothing: return .answer(notFound())
    case .folder: return .answer(redirectToFolder())
    case .file where http.target.path.utf8.count > maxFilePath: return .answer(notFound())
    case .file(let file):
      switch file.validators.evaluate(http.fields) {
      case .failed: return .answer(Response.preconditionFailed)
      case .notModified: return .notModified(file)
      case .passed: return .send(file)
      }
    }
  }

  /// Counts and logs the rejection. Returns the response.
  func reject(_ rejection: Rejection) -> Response {
    loop.reject(rejection, client, path: http.target.path)
  }

  func notFound() -> Response { reject(Rejection(.notFound, "nothing is served at \(http.target.path)")) }

  private func redirectToFolder() -> Response {
    let target = RequestTarget(authority: nil, path: http.target.path + "/", rawQuery: http.target.rawQuery)
    return Response(status: 301, headers: ["Location": target.encoded], "")
  }

  static let allow = ["Allow": "GET, HEAD, OPTIONS"]
  static let methodNotAllowed = Rejection(
    .methodNotAllowed, "only GET and HEAD are answered", headers: RequestCheck.allow)

  // MARK: Checks

  /// Rejects unencrypted requests where TLS is used. Redirects browsers that ask for a page to https.
  private func checkEncryption() throws(Rejection) {
    guard loop.configuration.tls != nil, !isEncrypted else { return }
    var rejection = Rejection(.notEncrypted, "this port requires TLS: use https or wss")
    if let host = http.host.flatMap({ Authority($0) }), !http.fields.has("upgrade"),
      http.method == .get || http.method == .head
    {
      rejection.status = 308
      let port = host.port.map { ":\($0)" } ?? ""
      rejection.headers = ["Location": "https://\(host.host)\(port)\(http.target.encoded)"]
    }
    throw rejection
  }

  /// Checks the requirements for every request. Bodies are not accepted.
  private func checkRequest() throws(Rejection) {
    let configuration = loop.configuration
    guard http.method != .other else { throw RequestCheck.methodNotAllowed }
    guard http.target.path.utf8.count <= configuration.maxPathLength else {
      throw Rejection(.pathTooLong, "a path of more than \(configuration.maxPathLength) bytes")
    }
    switch try body() {
    case .empty: break
    case .chunked: throw Rejection(.bodyNotAllowed, "a body, with Transfer-Encoding")
    case .length(let length): throw Rejection(.bodyNotAllowed, "a body of \(length) bytes")
    }
    guard let host = http.host else {
      if http.minorVersion > 0 { throw Rejection(.badRequest, "no Host header") }
      return
    }
    guard let authority = Authority(host) else { throw Rejection(.badRequest, "Host is '\(host)'") }
    let hosts = configuration.allowedHosts
    guard hosts.isEmpty || hosts.contains(where: { $0.lowercased() == authority.host }) else {
      throw Rejection(
        .hostNotAllowed,
        "host '\(authority.host)' is not allowed (to allow it: --allow-host \(authority.host))")
    }
  }

  private func body() throws(Rejection) -> HttpRequest.Body {
    do throws(RequestError) { return try http.body() } catch { throw Rejection(error.reason, error.detail) }
  }

  /// Checks the requirements for an opening handshake (RFC 6455, section 4.2.1).
  private func checkHandshake() throws(Rejection) {
    func bad(_ detail: String) -> Rejection { Rejection(.badRequest, detail) }
    guard http.method == .get else { throw bad("a handshake must be a GET") }
    guard http.minorVersion == 1 else { throw bad("a handshake must be HTTP/1.1") }
    guard http.fields.list("connection", has: "upgrade") else { throw bad("no 'Connection: Upgrade'") }
    guard http.fields["sec-websocket-version"] == "13" else {
      throw Rejection(
        .versionNotSupported, "only version 13 of WebSocket is supported",
        headers: ["Sec-WebSocket-Version": "13", "Upgrade": "websocket"])
    }
    try checkFields(http.fields)
    if let offers = http.fields["sec-websocket-protocol"] {
      let names = offers.listElements
      guard !names.isEmpty, names.allSatisfy({ String($0).isToken }) else {
        throw bad("Sec-WebSocket-Protocol must be tokens")
      }
    }
    guard let key = http.fields["sec-websocket-key"], key.isHandshakeKey else {
      throw bad("Sec-WebSocket-Key must be 16 bytes in base64")
    }
  }

  private func checkOrigin() throws(Rejection) {
    let origin = request.origin
    let isLocal = client.map { $0.isInternet && $0.isLoopback } ?? false
    guard !loop.originPolicy.admits(origin: origin, host: http.host, isLocal: isLocal) else { return }
    let remedy =
      origin.map { "origin '\($0)' is not allowed (to allow it: --allow-origin \($0))" }
      ?? "no Origin header (required by --require-origin)"
    throw Rejection(.originNotAllowed, remedy)
  }
}

extension String {
  /// Whether it is the base64 form of 16 bytes.
  var isHandshakeKey: Bool {
    utf8.count == 24 && utf8.suffix(2).elementsEqual("==".utf8)
      && utf8.dropLast(2).allSatisfy { byte in
        switch byte {
        case 48...57, 65...90, 97...122, UInt8(ascii: "+"), UInt8(ascii: "/"): true
        default: false
        }
      }
  }
}
