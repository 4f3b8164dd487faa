@testable import Confab

/// Parses a request's path. Encoded again, it parses as itself; logs write it on one line; mounts never serve a path
/// with a part that begins with a dot. Lines of the input: the path, the host.
func fuzzPath(_ input: inout Input) {
  let (path, host) = ("/" + input.line(), input.line())

  let encoded = path.percentEncoded
  require(encoded.utf8.allSatisfy { 33...126 ~= $0 && $0 != UInt8(ascii: "?") }, "'\(encoded)' is no path")
  require(decoded(encoded) == Array(path.utf8), "'\(path)' becomes '\(encoded)', which is something else")

  let line = path.printable
  require(line.unicodeScalars.allSatisfy { $0.value >= 32 && $0.value != 127 }, "'\(path)' is more than a line")
  require(line.unicodeScalars.count <= 201, "a line of \(line.unicodeScalars.count)")

  let mounts = [Mount(directory: "/etc"), Mount(path: "/p", directory: "/usr/lib")]
  if case .file = mounts.find(path) {
    require(!path.split(separator: "/").contains { $0.hasPrefix(".") } && !path.utf8.contains(0), "serves '\(path)'")
  }

  if let authority = Authority(host) {
    require(Authority(authority.host) != nil, "'\(host)' is at '\(authority.host)', which is no host")
  }
  require(!host.isHandshakeKey || host.utf8.count == 24, "'\(host)' is no key")
}

/// Percent-decodes byte by byte. Returns nil for an invalid sequence.
private func decoded(_ text: String) -> [UInt8]? {
  var bytes: [UInt8] = []
  var rest = Array(text.utf8)[...]
  while let byte = rest.popFirst() {
    guard byte == UInt8(ascii: "%") else {
      bytes.append(byte)
      continue
    }
    let digits = String(decoding: rest.prefix(2), as: UTF8.self)
    guard digits.utf8.count == 2, let value = UInt8(digits, radix: 16) else { return nil }
    bytes.append(value)
    rest = rest.dropFirst(2)
  }
  return bytes
}
