/// An HTTP/1 request, as its header section describes it (RFC 9112).
package struct HttpRequest: Sendable {
  package enum Method: Equatable, Sendable { case get, head, options, other }

  package let method: Method
  /// 0 or 1. Later versions of HTTP/1 are read as 1 (RFC 9110, section 2.5).
  package let minorVersion: Int
  package let target: RequestTarget
  package let fields: HeaderFields

  /// The host and port that the request is for. Those of the request target take precedence over those of the Host
  /// field (RFC 9112, section 3.2.2).
  package var host: String? { target.authority ?? fields["host"] }

  /// Whether the connection may be used for another request (RFC 9112, section 9.3).
  var keepsAlive: Bool {
    if fields.list("connection", has: "close") { return false }
    return minorVersion > 0 || fields.list("connection", has: "keep-alive")
  }

  /// Whether an Upgrade field names `websocket`, perhaps among others (RFC 9110, section 7.8).
  var asksForWebSocket: Bool { fields.list("upgrade", has: "websocket") }

  package enum Body: Equatable {
    case empty, length(String), chunked
  }

  /// Returns the kind of body that follows (RFC 9112, section 6).
  package func body() throws(RequestError) -> Body {
    let lengths = fields["content-length"].map { $0.parts(separatedBy: ",").map(\.trimmed) } ?? []
    if let codings = fields["transfer-encoding"] {
      guard lengths.isEmpty else { throw RequestError("both Content-Length and Transfer-Encoding") }
      guard codings.isSame(inAnyCaseAs: "chunked") else { throw RequestError("Transfer-Encoding is '\(codings)'") }
      guard minorVersion > 0 else { throw RequestError("Transfer-Encoding in HTTP/1.0") }
      return .chunked
    }
    guard let length = lengths.first else { return .empty }
    // A request may repeat the same Content-Length.
    guard lengths.allSatisfy({ $0.isSame(as: length) }), (1...20).contains(length.utf8.count),
      length.utf8.allSatisfy({ 48...57 ~= $0 })
    else { throw RequestError("Content-Length is '\(fields["content-length"]!)'") }
    return length.utf8.allSatisfy { $0 == 48 } ? .empty : .length(String(length))
  }
}

/// Error of a malformed request header section. The client gets the status of ``reason``, 400 by default.
package struct RequestError: Error, Equatable {
  package let reason: RejectionReason
  package let detail: String

  init(_ detail: String, _ reason: RejectionReason = .badRequest) { (self.detail, self.reason) = (detail, reason) }
}
