@testable import Confab

/// Parses the Origin, Host and Connection headers. Lines of the input: origin, host, one more allowed origin, a list.
func fuzzOrigin(_ input: inout Input) {
  let (isRequired, isLocal) = (input.flag(), input.flag())
  let (origin, host, allowed, list) = (input.line(), input.line(), input.line(), input.line())
  checkAuthority(host)
  checkOrigin(origin)
  checkList(list)

  let policy = OriginPolicy(allowed: [], isRequired: isRequired, listensOnLoopbackOnly: isLocal)
  require(policy.admits(origin: nil, host: host, isLocal: true) == !isRequired, "no origin")
  if policy.admits(origin: origin, host: host, isLocal: true) {
    if isLocal {
      require(origin == "null" || origin == "file://" || names127(origin), "'\(origin)' is not of this machine")
    } else {
      require(isSame(origin, host), "'\(origin)' is not the origin of '\(host)'")
    }
  } else {
    let more = OriginPolicy(allowed: [allowed], isRequired: isRequired, listensOnLoopbackOnly: isLocal)
    if more.admits(origin: origin, host: host, isLocal: true) {
      require(
        allowed == "*" || allowed == origin || Origin(allowed) != nil && Origin(allowed) == Origin(origin),
        "'\(allowed)' lets in '\(origin)'")
    }
  }
}

/// An accepted authority is ASCII, a host and an optional port, and parses as itself when written again.
private func checkAuthority(_ text: String) {
  guard let authority = Authority(text) else { return }
  let again = authority.host + (authority.port.map { ":\($0)" } ?? "")
  require(Authority(again) == authority, "'\(text)' is read as '\(again)', and that otherwise")
  require(text.utf8.allSatisfy { 33...126 ~= $0 && !"/@?#\\".utf8.contains($0) }, "'\(text)' is no authority")
  require((0...65_535).contains(authority.port ?? 0), "port \(authority.port ?? 0)")
  require(text.utf8.count >= authority.host.utf8.count, "'\(text)' has grown to '\(authority.host)'")
}

private func checkOrigin(_ text: String) {
  guard let origin = Origin(text) else { return }
  let again = "\(origin.scheme)://\(origin.host):\(origin.port)"
  require(Origin(again) == origin, "'\(text)' is read as '\(again)', and that otherwise")
  require(text.utf8.allSatisfy { 33...126 ~= $0 }, "'\(text)' is no origin")
}

/// A list's elements are trimmed and not empty. An ASCII list is split at its commas.
private func checkList(_ text: String) {
  let elements = text.listElements
  require(elements.allSatisfy { !$0.isEmpty && !$0.hasPrefix(" ") && !$0.hasSuffix("\t") }, "\(elements)")
  guard text.utf8.allSatisfy({ $0 < 128 }) else { return }
  let expected = text.utf8.split(separator: UInt8(ascii: ",")).map { element in
    let isBlank = { (byte: UInt8) in byte == 32 || byte == 9 }
    return Array(element.drop(while: isBlank).reversed().drop(while: isBlank).reversed())
  }
  require(elements.map { Array($0.utf8) } == expected.filter { !$0.isEmpty }, "'\(text)' is read as \(elements)")
}

/// Whether an origin is a scheme and the host, byte by byte, apart from the default port.
private func isSame(_ origin: String, _ host: String) -> Bool {
  guard let scheme = origin.utf8.firstRange(of: "://".utf8) else { return false }
  let isSecure = ["https", "wss"].contains(lower(origin.utf8[..<scheme.lowerBound]))
  func withPort(_ text: String) -> (String, Int)? {
    let digits = text.reversed().prefix { $0.isASCII && $0.isNumber }.count
    guard text.dropLast(digits).hasSuffix(":"), !text.hasSuffix("]") else { return (text, isSecure ? 443 : 80) }
    return Int(text.suffix(digits)).map { (String(text.dropLast(digits + 1)), $0) }
  }
  guard let one = withPort(lower(origin.utf8[scheme.upperBound...])), let other = withPort(lower(host.utf8[...])) else {
    return false
  }
  return one == other
}

private func names127(_ origin: String) -> Bool {
  let text = lower(origin.utf8[...])
  return text.contains("localhost") || text.contains("://[::1]") || text.contains("://127.")
}

/// Lowercases ASCII letters only.
private func lower(_ text: Substring.UTF8View) -> String {
  String(decoding: text.map { 65...90 ~= $0 ? $0 + 32 : $0 }, as: UTF8.self)
}
