/// An incremental parser for the PROXY protocol header, version 1 or 2 (HAProxy, doc/proxy-protocol.txt).
struct ProxyHeader {
  enum State {
    /// The header is incomplete: at least this many more bytes belong to it.
    case needs(Int)
    /// The header is complete, with the client's address; nil if the proxy speaks for itself, or if the client has no
    /// IP address.
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
  mutating func append(_ more: some Sequence<UInt8>) {
    bytes += more
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

/// A network like `10.0.0.0/8`, or a single address.
struct AddressRange {
  private let bytes: [UInt8]
  private let bits: Int

  init?(_ text: String) {
    let parts = text.parts(separatedBy: "/")
    guard parts.count <= 2, let address = SocketAddress(numeric: String(parts[0]), port: 0) else { return nil }
    bytes = address.bytes
    guard parts.count == 2 else {
      bits = bytes.count * 8
      return
    }
    guard let bits = Int(parts[1]), (0...bytes.count * 8).contains(bits) else { return nil }
    self.bits = bits
  }

  func contains(_ address: SocketAddress) -> Bool {
    let other = address.bytes
    guard other.count == bytes.count else { return false }
    let (whole, rest) = bits.quotientAndRemainder(dividingBy: 8)
    return other[..<whole] == bytes[..<whole] && (rest == 0 || (other[whole] ^ bytes[whole]) >> (8 - rest) == 0)
  }
}

extension [AddressRange] {
  func contain(_ address: SocketAddress) -> Bool { contains { $0.contains(address) } }

  /// Returns the client of a request that one of these proxies has forwarded with this X-Forwarded-For header: the
  /// rightmost address that is not a trusted proxy, or the leftmost one if all are. Addresses to the left of it are
  /// ignored, because the client can forge them. Returns nil if the header has no address, or if one up to the client's
  /// is unreadable.
  func client(forwardedFor header: String) -> SocketAddress? {
    var client: SocketAddress?
    for element in header.listElements.reversed() {
      guard let address = SocketAddress(forwarded: String(element)) else { return nil }
      client = address
      if !contain(address) { break }
    }
    return client
  }
}

extension SocketAddress {
  /// An address as proxies write it, with or without a port.
  fileprivate init?(forwarded text: String) {
    guard text.utf8.allSatisfy({ 0x20 < $0 && $0 < 0x7F }) else { return nil }
    var host = text.utf8[...]
    var port = 0
    let colon = UInt8(ascii: ":")
    if let end = host.lastIndex(of: colon), text.begins(with: "[") || host.firstIndex(of: colon) == end,
      let number = UInt16(text[text.index(after: end)...])
    {
      (host, port) = (host[..<end], Int(number))
    }
    if host.first == UInt8(ascii: "["), host.last == UInt8(ascii: "]") { host = host.dropFirst().dropLast() }
    self.init(numeric: String(Substring(host)), port: port)
  }
}
