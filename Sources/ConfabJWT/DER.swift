/// The parts of DER (X.690) that public keys and signatures consist of.
enum DER {
  /// The bytes before the point of a public key on the curve P-256 (RFC 5480, section 2).
  static let p256Prefix: [UInt8] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE,
    0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
  ]
  /// The bytes before an Ed25519 key (RFC 8410, section 4).
  private static let ed25519Prefix: [UInt8] = [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00]
  /// The algorithm of an RSA key (RFC 3279, section 2.3.1).
  private static let rsaAlgorithm: [UInt8] = [
    0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05, 0x00,
  ]

  /// Returns the DER of an RSA key. Nil if the modulus or the exponent is too long, or if the exponent is even or 1,
  /// which would make signatures forgeable.
  static func rsaKey(modulus: [UInt8], exponent: [UInt8]) -> [UInt8]? {
    let exponent = exponent.drop { $0 == 0 }
    guard modulus.count <= 2048, exponent.count <= 8, let last = exponent.last, last & 1 == 1, exponent != [1] else {
      return nil
    }
    let key = element(0x30, integer(modulus[...]) + integer(exponent))
    return element(0x30, rsaAlgorithm + element(0x03, [0] + key))
  }

  /// Returns the DER of a key on the curve P-256. Nil unless both coordinates have 32 bytes.
  static func p256Key(x: [UInt8], y: [UInt8]) -> [UInt8]? {
    x.count == 32 && y.count == 32 ? p256Prefix + [4] + x + y : nil
  }

  /// Returns the DER of an Ed25519 key. Nil unless the key has 32 bytes.
  static func ed25519Key(_ x: [UInt8]) -> [UInt8]? { x.count == 32 ? ed25519Prefix + x : nil }

  /// Converts an ECDSA signature to DER from the form of JWS, `r` and `s` of 32 bytes each (RFC 7518, section 3.4).
  /// Returns nil if the signature does not have 64 bytes.
  static func p256Signature(_ bytes: [UInt8]) -> [UInt8]? {
    guard bytes.count == 64 else { return nil }
    return element(0x30, integer(bytes.prefix(32)) + integer(bytes.suffix(32)))
  }

  /// Converts an ECDSA signature from DER to the form of JWS. Returns nil if the signature is malformed.
  static func rawP256Signature(_ der: [UInt8]) -> [UInt8]? {
    // All lengths are below 128.
    guard der.count > 4, der[0] == 0x30, der[2] == 0x02 else { return nil }
    let end = 4 + Int(der[3])
    guard der.count > end + 2, der[end] == 0x02, der.count == end + 2 + Int(der[end + 1]) else { return nil }
    func padded(_ integer: ArraySlice<UInt8>) -> [UInt8]? {
      let digits = integer.drop { $0 == 0 }
      return digits.count <= 32 ? Array(repeating: 0, count: 32 - digits.count) + digits : nil
    }
    guard let r = padded(der[4..<end]), let s = padded(der[(end + 2)...]) else { return nil }
    return r + s
  }

  /// Returns whether the bytes are one SEQUENCE, by their beginning and length.
  static func isSequence(_ bytes: [UInt8]) -> Bool {
    guard bytes.count > 2, bytes[0] == 0x30 else { return false }
    let size = bytes[1] < 0x80 ? 0 : Int(bytes[1] & 0x7F)
    guard size <= 4, bytes.count >= 2 + size else { return false }
    let count = size == 0 ? Int(bytes[1]) : bytes[2..<2 + size].reduce(0) { $0 << 8 | Int($1) }
    return bytes.count == 2 + size + count
  }

  private static func integer(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    let digits = bytes.drop { $0 == 0 }
    // A leading 1 bit would make the number negative.
    let sign: [UInt8] = (digits.first ?? 0x80) >= 0x80 ? [0] : []
    return element(0x02, sign + digits)
  }

  private static func element(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
    let count = content.count
    let length: [UInt8] =
      switch count {
      case ..<0x80: [UInt8(count)]
      case ..<0x100: [0x81, UInt8(count)]
      default: [0x82, UInt8(truncatingIfNeeded: count >> 8), UInt8(truncatingIfNeeded: count)]
      }
    return [tag] + length + content
  }
}
