internal import Confab
internal import ConfabChat

/// The content of a key file.
enum KeyFile {
  /// Error of a key file. The reason is the end of a sentence.
  struct Invalid: Error {
    let reason: String
  }

  private static let maxSecretBytes = 4096

  /// Parses a PEM key or certificate, a JWK or JWK set (RFC 7517), or a secret on one line.
  static func parse(_ bytes: [UInt8]) throws(Invalid) -> [JWTKey] {
    let text = String(decoding: bytes, as: UTF8.self)
    // PEM is recognized first, because a public key must never be used as a secret.
    if text.hasBytes("-----BEGIN") { return [try pemKey(bytes, text)] }
    if bytes.first(where: { !isSpace($0) }) == UInt8(ascii: "{") { return try jwkSet(bytes) }
    return [try secret(bytes)]
  }

  private static func isSpace(_ byte: UInt8) -> Bool { [0x20, 0x09, 0x0A, 0x0D].contains(byte) }

  private static func pemKey(_ bytes: [UInt8], _ text: String) throws(Invalid) -> JWTKey {
    let keys = text.parts(separatedBy: "\n").filter {
      $0.utf8.starts(with: "-----BEGIN ".utf8)
        && (String($0).hasBytes("KEY-----") || String($0).hasBytes("CERTIFICATE-----"))
    }
    guard keys.count <= 1 else {
      throw Invalid(reason: "it has \(keys.count) keys or certificates in PEM, and must have one")
    }
    guard let pair = KeyPair(pem: bytes) else {
      throw Invalid(reason: "the PEM is not a public key, a certificate, or a private key without a password")
    }
    guard let key = JWTKey(id: nil, pair: pair) else { throw unsupported }
    return key
  }

  private static let unsupported = Invalid(
    reason: "the key must be RSA with 2048 to 16384 bits, on the curve P-256, or Ed25519, and for signatures")

  private static func secret(_ bytes: [UInt8]) throws(Invalid) -> JWTKey {
    var line = bytes[...]
    while let last = line.last, last == 0x0A || last == 0x0D { line.removeLast() }
    guard !isEncodedKey(line) else {
      throw Invalid(reason: "it is an encoded key: it must be PEM, with the lines BEGIN and END, a JWK, or a JWK set")
    }
    guard line.count <= maxSecretBytes, line.allSatisfy(isOfSecret),
      let key = JWTKey(id: nil, secret: Array(line))
    else {
      throw Invalid(
        reason: """
          it must have a PEM key, a JWK, a JWK set, or a secret: one line of \(JWTKey.minSecretBytes) to \
          \(maxSecretBytes) characters, of ASCII letters, digits, +, /, =, - and _
          """)
    }
    return key
  }

  /// Returns whether a secret may have this character: base64, base64url and hexadecimal digits are allowed. JSON and
  /// URLs have other characters.
  private static func isOfSecret(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
    case UInt8(ascii: "0")...UInt8(ascii: "9"): true
    default: "+/=-_".utf8.contains(byte)
    }
  }

  /// Returns whether a line is a key or certificate in base64 or hexadecimal digits: DER, PEM or JSON. Some issuers
  /// publish keys in these forms. As secrets, they would be publicly known.
  private static func isEncodedKey(_ line: ArraySlice<UInt8>) -> Bool {
    [base64(line), hexadecimal(line)].contains { bytes in
      guard let bytes else { return false }
      if DER.isSequence(bytes) || String(decoding: bytes, as: UTF8.self).hasBytes("-----BEGIN") { return true }
      // An SSH public key begins with the length and the name of its algorithm (RFC 4253, section 6.6).
      if ["ssh-", "ecdsa-", "sk-"].contains(where: { bytes.dropFirst(4).starts(with: $0.utf8) }) { return true }
      let isJSON = bytes.first { !isSpace($0) }.map { "{[\"".utf8.contains($0) } ?? false
      return isJSON && bytes.allSatisfy { isSpace($0) || 0x20...0x7E ~= $0 }
    }
  }

  private static func hexadecimal(_ line: ArraySlice<UInt8>) -> [UInt8]? {
    guard line.count % 2 == 0 else { return nil }
    let digits = line.map { UInt8(String(UnicodeScalar($0)), radix: 16) }
    guard !digits.contains(nil) else { return nil }
    return stride(from: 0, to: digits.count, by: 2).map { (digits[$0] ?? 0) << 4 | (digits[$0 + 1] ?? 0) }
  }

  private static func base64(_ line: ArraySlice<UInt8>) -> [UInt8]? {
    let digits = line.compactMap { byte -> UInt8? in
      switch byte {
      case UInt8(ascii: "+"): UInt8(ascii: "-")
      case UInt8(ascii: "/"): UInt8(ascii: "_")
      case UInt8(ascii: "="): nil
      default: byte
      }
    }
    return Base64URL.decode(digits)
  }

  // MARK: JWK

  private enum Field: Int, CaseIterable {
    case keys, kty, crv, kid, alg, use, operations, k, n, e, x, y
    static let names = allCases.map { Array(($0 == .operations ? "key_ops" : "\($0)").utf8) }
  }

  private static func object(_ bytes: [UInt8]) -> JSONObject<Field>? {
    Message.isText(bytes.span) ? JSONObject<Field>(bytes, names: Field.names, isStrict: true) : nil
  }

  private static func jwkSet(_ bytes: [UInt8]) throws(Invalid) -> [JWTKey] {
    let malformed = Invalid(reason: "it is not a JWK or JWK set")
    guard let object = object(bytes) else { throw malformed }
    let elements: [ArraySlice<UInt8>]?
    do { elements = try object.elements(.keys) } catch { throw malformed }
    guard let elements else {
      guard let key = try jwk(object, "the key") else { throw unsupported }
      return [key]
    }
    var keys: [JWTKey] = []
    for (index, element) in elements.enumerated() {
      guard let object = self.object(Array(element)) else {
        throw Invalid(reason: "key \(index + 1) of the set is not a JSON object")
      }
      let kid = (try? object.text(.kid)).map { " ('\($0)')" } ?? ""
      // Keys of other kinds are ignored (RFC 7517, section 5).
      if let key = try jwk(object, "key \(index + 1)\(kid) of the set") { keys.append(key) }
    }
    guard !keys.isEmpty else {
      throw Invalid(reason: "it has no key for signatures with HS256, RS256, ES256 or EdDSA")
    }
    return keys
  }

  /// Returns the key of a JWK; nil if it is for another purpose.
  private static func jwk(_ object: JSONObject<Field>, _ name: String) throws(Invalid) -> JWTKey? {
    do {
      guard try object.text(.use) ?? "sig" == "sig", let type = try object.text(.kty) else { return nil }
      if let operations = try object.texts(.operations), !operations.contains(where: { $0.isSame(as: "verify") }) {
        return nil
      }
      guard let key = try key(object, type) else { return nil }
      if let algorithm = try object.text(.alg), algorithm != key.algorithm.rawValue { return nil }
      return key
    } catch let error as Invalid {
      throw Invalid(reason: "\(name): \(error.reason)")
    } catch {
      throw Invalid(reason: "\(name) is malformed")
    }
  }

  /// Returns the key of a JWK; nil if its type is unknown.
  private static func key(_ object: JSONObject<Field>, _ type: String) throws -> JWTKey? {
    let id = try object.text(.kid)
    func bytes(_ field: Field) throws -> [UInt8] {
      guard let text = try object.text(field), let bytes = Base64URL.decode(text.utf8) else { throw WrongJSONType() }
      return bytes
    }
    let der: [UInt8]?
    switch (type, try object.text(.crv)) {
    case ("oct", _):
      guard let key = JWTKey(id: id, secret: try bytes(.k)) else {
        throw Invalid(reason: "a secret must have at least \(JWTKey.minSecretBytes) bytes")
      }
      return key
    case ("RSA", _): der = DER.rsaKey(modulus: try bytes(.n), exponent: try bytes(.e))
    case ("EC", "P-256"): der = DER.p256Key(x: try bytes(.x), y: try bytes(.y))
    case ("OKP", "Ed25519"): der = DER.ed25519Key(try bytes(.x))
    default: return nil
    }
    guard let der, let pair = KeyPair(der: der) else { throw WrongJSONType() }
    guard let key = JWTKey(id: id, pair: pair) else { throw unsupported }
    return key
  }
}
