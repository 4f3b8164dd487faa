/// The answer to an upgrade request that a handler does not accept, see ``Handler/denial(of:)``.
public struct Denial: Equatable, Sendable {
  /// The HTTP status, 400 to 599.
  public var status: Int
  /// One line, which is the body of the answer.
  public var reason: String

  public init(status: Int, reason: String) {
    precondition((400...599).contains(status), "\(status) is no status that refuses")
    self.status = status
    self.reason = reason
  }
}

/// An answer of HTTP that ends the connection, whole.
struct Response {
  let bytes: [UInt8]

  /// - Parameter isHead: whether HEAD was asked: then there is no body.
  init(_ status: Int, _ reason: String, headers: [String] = [], isHead: Bool = false) {
    let body = reason.printable + "\n"
    let lines =
      [
        "HTTP/1.1 \(status) \(Response.phrases[status] ?? "Refused")", "Content-Type: text/plain; charset=utf-8",
        "Content-Length: \(body.utf8.count)", "Cache-Control: no-store", "X-Content-Type-Options: nosniff",
        "Connection: close",
      ] + headers
    bytes = Array((lines.joined(separator: "\r\n") + "\r\n\r\n" + (isHead ? "" : body)).utf8)
  }

  private static let phrases = [
    308: "Permanent Redirect",
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    408: "Request Timeout", 413: "Content Too Large", 414: "URI Too Long", 426: "Upgrade Required",
    429: "Too Many Requests", 431: "Request Header Fields Too Large", 500: "Internal Server Error",
    503: "Service Unavailable",
  ]
}

extension String {
  /// The text as one line for logs and answers, whoever it comes from: at most 200 characters, none of them a control
  /// character, a separator of lines, or one that turns the direction of what follows.
  var printable: String {
    var text = String.UnicodeScalarView()
    for scalar in unicodeScalars {
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned, .privateUse:
        text.append("\u{FFFD}")
      default: text.append(scalar)
      }
      if text.count == 200 { return String(text) + "…" }
    }
    return String(text)
  }
}
