/// A web origin (RFC 6454): scheme, host and port, as a browser sends it.
struct Origin: Equatable {
  let scheme: String
  let host: String
  let port: Int

  /// Returns nil if the text is not an origin, like `null`.
  init?(_ text: String) {
    let parts = text.parts(separatedBy: ":", maxSplits: 1)
    guard parts.count == 2, String(parts[0]).isToken, parts[1].begins(with: "//"),
      let authority = Authority(String(Substring(parts[1].utf8.dropFirst(2))))
    else { return nil }
    scheme = parts[0].lowercased()
    host = authority.host
    port = authority.port ?? (scheme == "https" || scheme == "wss" ? 443 : 80)
  }

  var isLoopback: Bool { host == "localhost" || host.ends(with: ".localhost") || host == "[::1]" || host.isLoopback4 }

  /// Returns whether the origin is this host and port, so that a page talks to the server that it came from.
  func isSame(as authority: Authority) -> Bool {
    let usual = scheme == "https" || scheme == "wss" ? 443 : 80
    return host == authority.host && port == authority.port ?? usual
  }
}

/// A host with an optional port (RFC 3986, section 3.2), as in the Host header.
package struct Authority: Equatable {
  package let host: String
  package let port: Int?

  package init?(_ text: String) {
    // Before lowercasing: the lower case of U+212A, the Kelvin sign, is an ASCII k.
    guard text.utf8.allSatisfy({ $0 < 0x80 }) else { return nil }
    let bytes = text.lowercased().utf8
    let isBracketed = bytes.first == UInt8(ascii: "[")
    let end =
      isBracketed
      ? bytes.firstIndex(of: UInt8(ascii: "]")).map(bytes.index(after:)) : bytes.firstIndex(of: UInt8(ascii: ":"))
    if isBracketed && end == nil { return nil }
    let host = bytes[..<(end ?? bytes.endIndex)]
    let rest = bytes[(end ?? bytes.endIndex)...]
    guard !host.isEmpty, host.allSatisfy(Authority.isHostByte) else { return nil }
    self.host = String(Substring(host))
    if rest.isEmpty {
      port = nil
    } else {
      let digits = rest.dropFirst()
      guard rest.first == UInt8(ascii: ":"), digits.count <= 5, digits.allSatisfy({ 48...57 ~= $0 }),
        let number = Int(Substring(digits)), number <= 65_535
      else { return nil }
      port = number
    }
  }

  /// Whether the host is an IP address.
  package var isNumeric: Bool {
    host.utf8.first == UInt8(ascii: "[") || SocketAddress(numeric: host, port: 0) != nil
  }

  private static func isHostByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 48...57, 97...122: true
    default: "-._~[]:%".utf8.contains(byte)
    }
  }
}

extension String {
  /// Whether the text is an IPv4 loopback address, 127.0.0.0/8.
  fileprivate var isLoopback4: Bool {
    let parts = parts(separatedBy: ".")
    return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
  }
}

/// Decides which pages may connect.
struct OriginPolicy {
  let allowed: [String]
  let isRequired: Bool
  let listensOnLoopbackOnly: Bool

  /// Returns whether to accept a request with this origin for this host.
  ///
  /// - Parameter isLocal: whether the client is on this machine. A trusted proxy may name a client on another one. Pages of
  ///   that machine's loopback or files are not the operator's.
  func admits(origin: String?, host: String?, isLocal: Bool) -> Bool {
    guard let origin else { return !isRequired }
    if allowed.contains(where: { $0.isSame(as: "*") || $0.isSame(as: origin) }) { return true }
    // A page opened from a file sends one of these (HTML Standard, section 7.1.1; Electron, some web views).
    if origin == "null" || origin == "file://" { return listensOnLoopbackOnly && isLocal }
    guard let origin = Origin(origin) else { return false }
    if isAllowed(origin) { return true }
    return listensOnLoopbackOnly ? isLocal && origin.isLoopback : isOwn(origin, host: host)
  }

  /// Returns whether the origin is in the list by name, or is the server's own. Only then do cookies show the user's
  /// intent: a browser sends them for every page.
  func admitsByName(_ origin: String?, host: String?) -> Bool {
    guard let origin = origin.flatMap({ Origin($0) }) else { return false }
    // Another name for a loopback address may be a trick (DNS rebinding).
    return isAllowed(origin) || isOwn(origin, host: host) && (origin.isLoopback || !listensOnLoopbackOnly)
  }

  private func isAllowed(_ origin: Origin) -> Bool { allowed.contains { Origin($0) == origin } }

  private func isOwn(_ origin: Origin, host: String?) -> Bool {
    host.flatMap { Authority($0) }.map(origin.isSame) ?? false
  }
}
