/// A web origin, RFC 6454: scheme, host and port, as a browser sends it.
struct Origin: Equatable {
  let scheme: String
  let host: String
  let port: Int

  /// Nil for what is no origin, `null` among it.
  init?(_ text: String) {
    guard let colon = text.firstRange(of: "://"), String(text[..<colon.lowerBound]).isToken,
      let authority = Authority(String(text[colon.upperBound...]))
    else { return nil }
    scheme = text[..<colon.lowerBound].lowercased()
    host = authority.host
    port = authority.port ?? (scheme == "https" || scheme == "wss" ? 443 : 80)
  }

  var isLoopback: Bool { host == "localhost" || host.hasSuffix(".localhost") || host == "[::1]" || host.isLoopback4 }

  /// Whether a page from here talks to the host and port that it came from.
  func isSame(as authority: Authority) -> Bool {
    let usual = scheme == "https" || scheme == "wss" ? 443 : 80
    return host == authority.host && port == authority.port ?? usual
  }
}

/// A host with, perhaps, a port: RFC 3986, section 3.2, as the Host header has it.
package struct Authority: Equatable {
  package let host: String
  package let port: Int?

  package init?(_ text: String) {
    // Before letters are made small: the small form of U+212A, the Kelvin sign, is an ASCII k.
    guard text.utf8.allSatisfy({ $0 < 0x80 }) else { return nil }
    let text = text.lowercased()
    let end = text.hasPrefix("[") ? text.firstIndex(of: "]").map(text.index(after:)) : text.firstIndex(of: ":")
    if text.hasPrefix("[") && end == nil { return nil }
    let host = text[..<(end ?? text.endIndex)]
    let rest = text[(end ?? text.endIndex)...]
    guard !host.isEmpty, host.utf8.allSatisfy(Authority.isHostByte) else { return nil }
    self.host = String(host)
    if rest.isEmpty {
      port = nil
    } else {
      guard rest.first == ":", rest.utf8.count <= 6, rest.dropFirst().utf8.allSatisfy({ 48...57 ~= $0 }) else {
        return nil
      }
      guard let number = Int(rest.dropFirst()), number <= 65_535 else { return nil }
      port = number
    }
  }

  private static func isHostByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 48...57, 97...122: true
    default: "-._~[]:%".utf8.contains(byte)
    }
  }
}

extension String {
  /// Whether it is an IPv4 address of this machine only, 127.0.0.0/8.
  fileprivate var isLoopback4: Bool {
    let parts = split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
  }
}

/// Which pages may connect.
struct OriginPolicy {
  let allowed: [String]
  let isRequired: Bool
  let listensOnLoopbackOnly: Bool

  /// Whether a request with this origin, for this host, is let in.
  func admits(origin: String?, host: String?) -> Bool {
    guard let origin else { return !isRequired }
    if allowed.contains("*") || allowed.contains(origin) { return true }
    // A page from a file has the one or the other (HTML Standard, section 7.1.1; Electron, some web views).
    if origin == "null" || origin == "file://" { return listensOnLoopbackOnly }
    guard let origin = Origin(origin) else { return false }
    if allowed.contains(where: { Origin($0) == origin }) { return true }
    if listensOnLoopbackOnly { return origin.isLoopback }
    return host.flatMap { Authority($0) }.map(origin.isSame) ?? false
  }
}
