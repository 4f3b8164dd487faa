/// A network like `10.0.0.0/8`, or a single address. IPv4-mapped IPv6 (RFC 4291, section 2.5.5.2) is IPv4.
package struct AddressRange: Hashable, Sendable, CustomStringConvertible {
  // The address in network byte order, an IPv4 address in its mapped form. Bits after the prefix are 0.
  private let high, low: UInt64
  /// Length of the prefix, of 128 bits.
  private let length: UInt8

  private init(_ high: UInt64, _ low: UInt64, length: Int) {
    self.high = high & AddressRange.mask(length)
    self.low = low & AddressRange.mask(length - 64)
    self.length = UInt8(length)
  }

  private static func mask(_ bits: Int) -> UInt64 { bits <= 0 ? 0 : .max << UInt64(max(0, 64 - bits)) }

  /// Nil if the text is neither an address nor a network. An address has no zone.
  package init?(_ text: String) {
    let parts = text.parts(separatedBy: "/")
    guard parts.count <= 2, let address = SocketAddress(numeric: String(parts[0]), port: 0) else { return nil }
    self.init(address)
    guard parts.count == 2 else { return }
    // The prefix of a mapped address counts the bits of IPv6.
    let unwritten = parts[0].utf8.contains(UInt8(ascii: ":")) ? 0 : 96
    guard parts[1].utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }), let bits = Int(parts[1]),
      bits <= 128 - unwritten, bits + unwritten >= (isIPv4 ? 96 : 0)
    else {
      return nil
    }
    self.init(high, low, length: bits + unwritten)
  }

  /// A single address.
  init(_ address: SocketAddress) {
    let bytes = address.bytes
    let mapped = bytes.count == 4 ? [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF] + bytes : bytes
    func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
    self.init(number(mapped[..<8]), number(mapped[8...]), length: 128)
  }

  package var isIPv4: Bool { length >= 96 && high == 0 && low >> 32 == 0xFFFF }

  /// Number of bits in the prefix: 0 to 32 for IPv4, 0 to 128 for IPv6.
  package var bits: Int { Int(length) - (isIPv4 ? 96 : 0) }

  /// Returns the network that contains this one and has a prefix of at most `bits` bits.
  package func prefix(_ bits: Int) -> AddressRange {
    AddressRange(high, low, length: min(Int(length), bits + (isIPv4 ? 96 : 0)))
  }

  package func contains(_ other: AddressRange) -> Bool {
    isIPv4 == other.isIPv4 && length <= other.length && other.prefix(bits) == self
  }

  func contains(_ address: SocketAddress) -> Bool { contains(AddressRange(address)) }

  /// The form that ``init(_:)`` parses. A single address has no `/`.
  package var description: String {
    func bytes(_ number: UInt64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * $0)) } }
    let host = SocketAddress(bytes: bytes(high) + bytes(low), port: 0).host
    return length == 128 ? host : "\(host)/\(bits)"
  }
}

extension [AddressRange] {
  func contain(_ address: SocketAddress) -> Bool { contains { $0.contains(address) } }
}
