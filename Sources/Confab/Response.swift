/// An HTTP response, sent before the server closes the connection. It answers a request that is not for a WebSocket,
/// see ``Handler/response(to:)``, or a rejected one, see ``Handler/authorize(_:)``.
public struct Response: Equatable, Sendable {
  /// The status code, 200 to 599.
  public var status: Int
  /// Additional headers. Each response has `Date`, `Content-Length` (except with 204 and 304), `Connection: close` and
  /// `X-Content-Type-Options: nosniff`, which these headers cannot replace. It has `Cache-Control: no-store` and
  /// `Content-Type: text/plain; charset=utf-8` unless these headers contain them.
  public var headers: [String: String]
  /// The body. It is not sent for HEAD requests, nor with status 204 and 304. The response stays in memory until the
  /// client has read it. A client that reads nothing for 5 s is dropped.
  public var body: [UInt8]

  /// - Precondition: `status` is 200 to 599, names of headers are tokens, and their values have no control characters
  ///   (RFC 9110, section 5.5).
  public init(status: Int = 200, headers: [String: String] = [:], body: [UInt8]) {
    precondition((200...599).contains(status), "status \(status) is not in 200...599")
    for (name, value) in headers {
      precondition(Response.canHave(header: name, value), "'\(name): \(value)' is not a valid header")
    }
    (self.status, self.headers, self.body) = (status, headers, body)
  }

  package static func canHave(header name: String, _ value: String) -> Bool {
    name.isToken && value.utf8.allSatisfy { $0 >= 32 && $0 != 127 }
  }

  /// A response with a text body in UTF-8.
  public init(status: Int = 200, headers: [String: String] = [:], _ text: String) {
    self.init(status: status, headers: headers, body: Array(text.utf8))
  }

  /// Whether the status allows a body (RFC 9110, sections 8.6 and 15).
  private var hasBody: Bool { status != 204 && status != 304 }

  static let preconditionFailed = Response(status: 412, "the file has changed\n")

  /// Returns the response as it is sent, without the body if `isHead`.
  func bytes(isHead: Bool = false) -> [UInt8] {
    let phrase = Response.phrases[status] ?? (status < 400 ? "OK" : "Rejected")
    var lines = ["HTTP/1.1 \(status) \(phrase)", "Date: \(HttpDate.now.text)"]
    let names = Set(headers.keys.map { $0.lowercased() })
    for (name, value) in Response.defaults where !names.contains(name.lowercased()) {
      lines.append("\(name): \(value)")
    }
    for (name, value) in headers.sorted(by: { $0.key < $1.key }) where !Response.fixed.contains(name.lowercased()) {
      lines.append("\(name): \(value)")
    }
    lines += ["X-Content-Type-Options: nosniff", "Connection: close"]
    if hasBody { lines.append("Content-Length: \(body.count)") }
    return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + (isHead || !hasBody ? [] : body)
  }

  private static let defaults = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")]
  private static let fixed: Set = [
    "x-content-type-options", "content-length", "connection", "transfer-encoding", "date",
  ]

  private static let phrases = [
    200: "OK", 204: "No Content", 301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified",
    307: "Temporary Redirect", 308: "Permanent Redirect", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout", 413: "Content Too Large", 414: "URI Too Long",
    426: "Upgrade Required", 429: "Too Many Requests", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 503: "Service Unavailable",
  ]
}
