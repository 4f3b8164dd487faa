/// An incremental parser for the PROXY protocol header, version 1 or 2 (HAProxy, doc/proxy-protocol.txt).
struct ProxyHeader {
  enum State {
    /// The header is incomplete: at least this many more bytes belong to it.
    case needs(Int)
    /// The header is complete, with the client's address; nil if the proxy connects on its own behalf, or if the client
    /// has no IP address.
    case whole(SocketAddress?)
    /// The header is malformed, with a description of the error.
    case malformed(String)
  }

  /// Maximum bytes after the first 16 of version 2: the addresses, and the proxy's additional fields.
  static let maxLength = 4096
  private static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
  private static let word = Array("PROXY ".utf8)
  /// Maximum length of a version 1 line, with its line end.
  private static let maxLine = 107

  private var bytes: [UInt8] = []
  private(set) var state = State.needs(ProxyHeader.signature.count)

  /// Appends the next bytes, at most as many as ``State/needs(_:)`` asks for.
  mutating func append(_ more: Span<UInt8>) {
    bytes.append(more)
    state = bytes.starts(with: ProxyHeader.word.prefix(bytes.count)) ? version1 : version2
  }

  private var version1: State {
    if bytes.count < ProxyHeader.signature.count { return .needs(ProxyHeader.signature.count - bytes.count) }
    guard bytes.suffix(2).elementsEqual([0x0D, 0x0A]) else {
      return bytes.count < ProxyHeader.maxLine ? .needs(1) : .malformed("a line of more than \(bytes.count) bytes")
    }
    guard let line = String(validating: bytes.dropLast(2), as: UTF8.self), line.utf8.allSatisfy({ $0 < 0x80 }) else {
      return .malformed("a line that is not ASCII")
    }
    let words = line.parts(separatedBy: " ")
    if words[1] == "UNKNOWN" { return .whole(nil) }
    guard words.count == 6, words[1] == "TCP4" || words[1] == "TCP6", let port = UInt16(words[4]),
      let client = SocketAddress(numeric: String(words[2]), port: Int(port)),
      words[2].utf8.contains(UInt8(ascii: ":")) == (words[1] == "TCP6")
    else { return .malformed("an unreadable address") }
    return .whole(client)
  }

  private var version2: State {
    let start = ProxyHeader.signature.count
    guard bytes.starts(with: ProxyHeader.signature.prefix(bytes.count)) || bytes.starts(with: ProxyHeader.signature)
    else { return .malformed("not a PROXY protocol header") }
    guard bytes.count >= start + 4 else { return .needs((bytes.count < start ? start : start + 4) - bytes.count) }
    let (command, family) = (bytes[start], bytes[start + 1])
    guard command == 0x20 || command == 0x21 else { return .malformed("version and command are \(command)") }
    let length = Int(bytes[start + 2]) << 8 | Int(bytes[start + 3])
    guard length <= ProxyHeader.maxLength else { return .malformed("\(length) bytes of addresses and fields") }
    let rest = bytes[(start + 4)...]
    if rest.count < length { return .needs(length - rest.count) }
    if command == 0x20 { return .whole(nil) }
    // TCP over IPv4 or IPv6. An unspecified address or a Unix socket has no IP address.
    let addressSize: Int
    switch family {
    case 0x11: addressSize = 4
    case 0x21: addressSize = 16
    case 0x00: return .whole(nil)
    case 0x31: return length >= 216 ? .whole(nil) : .malformed("too short for its addresses")
    default: return .malformed("family and protocol are \(family)")
    }
    guard length >= 2 * addressSize + 4 else { return .malformed("too short for its addresses") }
    let port = rest.dropFirst(2 * addressSize).prefix(2).reduce(0) { $0 << 8 | Int($1) }
    return .whole(SocketAddress(bytes: Array(rest.prefix(addressSize)), port: port))
  }
}
