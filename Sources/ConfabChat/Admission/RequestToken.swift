internal import Confab

/// The token of a request.
struct RequestToken {
  let text: String
  /// Whether the token is from a cookie, which the browser sends with every request.
  let isCookie: Bool

  /// Returns nil if the request has no token.
  init?(_ request: RequestHead, _ admission: Admission, on loop: EventLoop) {
    if let text = request[header: "authorization"].flatMap({ RequestToken.bearer($0) }) {
      (self.text, isCookie) = (text, false)
    } else if let text = request[query: "token"] {
      (self.text, isCookie) = (text, false)
    } else if let cookie = admission.cookie, loop.admitsCookies(of: request),
      let text = RequestToken.value(of: cookie, in: request[header: "cookie"] ?? "")
    {
      (self.text, isCookie) = (text, true)
    } else {
      return nil
    }
  }

  /// Returns the token of `Bearer <token>` (RFC 6750, section 2.1); nil for other schemes.
  private static func bearer(_ value: String) -> String? {
    let parts = value.utf8.split(separator: UInt8(ascii: " "), maxSplits: 1)
    guard let scheme = parts.first, String(scheme)?.lowercased() == "bearer" else { return nil }
    return parts.count > 1 ? String(parts[1]) ?? "" : ""
  }

  /// Returns the value of the first cookie with this name (RFC 6265, section 4.2.1); nil if the cookie is missing.
  private static func value(of name: String, in cookies: String) -> String? {
    for pair in cookies.utf8.split(whereSeparator: { $0 == UInt8(ascii: ";") || $0 == UInt8(ascii: ",") }) {
      let pair = pair.drop { $0 == UInt8(ascii: " ") }
      let sides = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
      if sides.count == 2, sides[0].elementsEqual(name.utf8) { return String(sides[1]) }
    }
    return nil
  }
}

extension RequestHead {
  /// Whether the client offers the rich protocol, before a subprotocol is agreed on.
  var offersRichProtocol: Bool {
    let offered = self[header: "sec-websocket-protocol"] ?? ""
    return offered.utf8.split(separator: UInt8(ascii: ",")).contains { part in
      String(part)?.utf8.filter { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") }
        .elementsEqual(Chat.subprotocol.utf8) ?? false
    }
  }
}
