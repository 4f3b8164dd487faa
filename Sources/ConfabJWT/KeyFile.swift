internal import Confab
internal import ConfabChat

/// The content of a key file.
enum KeyFile {
  /// An error, as the end of a sentence.
  struct Invalid: Error {
    let reason: String
  }

  /// Maximum number of keys in a JWK set.
  static let maxKeys = 64
  private static let maxSecretBytes = 4096

  /// Parses a PEM key or certificate, a JWK or JWK set (RFC 7517), or a secret on one line.
  static func parse(_ bytes: [UInt8]) throws(Invalid) -> [JWTKey] {
    let text = String(decoding: bytes, as: UTF8.self)
    // Before anything else: a public key must never become a secret.
    if text.hasBytes("-----BEGIN") { return [try pemKey(bytes)] }
    if bytes.first(where: { !isSpace($0) }) == UInt8(ascii: "{") { return try jwkSet(bytes) }
    return [try secret(bytes)]
  }

  private static func isSpace(_ byte: UInt8) -> Bool { [0x20, 0x09, 0x0A, 0x0D].contains(byte) }

  private static func pemKey(_ bytes: [UInt8]) throws(Invalid) -> JWTKey {
    guard let pair = KeyPair(pem: bytes) else {
      throw Invalid(reason: "the PEM is not a public key, a certificate, or a private key without a password")
    }
    guard let key = JWTKey(id: nil, pair: pair) else { throw unsupported }
    return key
  }

  private static let unsupported = Invalid(
    reason: "the key must be RSA with at least 2048 bits, on the curve P-256, or Ed25519")

  private static func secret(_ bytes: [UInt8]) throws(Invalid) -> JWTKey {
    var line = bytes[...]
    while let last = line.last, last == 0x0A || last == 0x0D { line.removeLast() }
    guard line.count <= maxSecretBytes, line.allSatisfy({ 0x21...0x7E ~= $0 }),
      let key = JWTKey(id: nil, secret: Array(line))
    else {
      throw Invalid(
        reason: """
          it must have a PEM key, a JWK, a JWK set, or a secret: one line of \(JWTKey.minSecretBytes) to \
          \(maxSecretBytes) ASCII characters without spaces
          """)
    }
    return key
  }

  // MARK: JWK

  private enum Field: Int, CaseIterable {
    case keys, kty, crv, kid, alg, use, k, n, e, x, y
    static let names = allCases.map { Array("\($0)".utf8) }
  }

  private static func jwkSet(_ bytes: [UInt8]) throws(Invalid) -> [JWTKey] {
    let malformed = Invalid(reason: "it is not a JWK or JWK set")
    guard Message.isText(bytes.span), let object = JSONObject<Field>(bytes, names: Field.names) else { throw malformed }
    let elements: [ArraySlice<UInt8>]?
    do { elements = try object.elements(.keys) } catch { throw malformed }
    guard let elements else {
      guard let key = try jwk(object) else { throw unsupported }
      return [key]
    }
    guard elements.count <= maxKeys else { throw Invalid(reason: "it has more than \(maxKeys) keys") }
    var keys: [JWTKey] = []
    for element in elements {
      guard let object = JSONObject<Field>(Array(element), names: Field.names) else { throw malformed }
      // Keys of other kinds are ignored (RFC 7517, section 5).
      if let key = try jwk(object) { keys.append(key) }
    }
    guard !keys.isEmpty else { throw Invalid(reason: "it has no key that can be used") }
    return keys
  }

  /// Returns the key of a JWK; nil if it is for another purpose.
  private static func jwk(_ object: JSONObject<Field>) throws(Invalid) -> JWTKey? {
    do {
      guard try object.text(.use) ?? "sig" == "sig", let type = try object.text(.kty) else { return nil }
      let id = try object.text(.kid)
      func bytes(_ field: Field) throws -> [UInt8] {
        guard let text = try object.text(field), let bytes = Base64URL.decode(text.utf8) else { throw WrongJSONType() }
        return bytes
      }
      let der: [UInt8]?
      switch (type, try object.text(.crv)) {
      case ("oct", _):
        if let algorithm = try object.text(.alg), algorithm != "HS256" { return nil }
        guard let key = JWTKey(id: id, secret: try bytes(.k)) else {
          throw Invalid(reason: "a secret has less than \(JWTKey.minSecretBytes) bytes")
        }
        return key
      case ("RSA", _): der = DER.rsaKey(modulus: try bytes(.n), exponent: try bytes(.e))
      case ("EC", "P-256"): der = DER.p256Key(x: try bytes(.x), y: try bytes(.y))
      case ("OKP", "Ed25519"): der = DER.ed25519Key(try bytes(.x))
      default: return nil
      }
      guard let der, let pair = KeyPair(der: der) else { throw WrongJSONType() }
      guard let key = JWTKey(id: id, pair: pair) else { throw unsupported }
      if let algorithm = try object.text(.alg), algorithm != key.algorithm.rawValue { return nil }
      return key
    } catch let error as Invalid {
      throw error
    } catch {
      throw Invalid(reason: "a JWK is malformed")
    }
  }
}
