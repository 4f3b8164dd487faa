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
}
