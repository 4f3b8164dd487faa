/// The signature algorithms (RFC 7518, section 3.1; RFC 8037, section 3.1).
enum SignatureAlgorithm: String {
  case hs256 = "HS256"
  case rs256 = "RS256"
  case es256 = "ES256"
  case edDSA = "EdDSA"
}

/// A key for one algorithm. It does not verify tokens that name another algorithm.
struct JWTKey: Sendable {
  /// `kid` of the tokens that the key signs; nil if it has none.
  let id: String?
  let algorithm: SignatureAlgorithm
  private let material: Material

  private enum Material {
    case secret([UInt8])
    case pair(KeyPair)
  }

  /// Minimum size of a secret (RFC 7518, section 3.2).
  static let minSecretBytes = 32

  /// Nil if the secret is too short.
  init?(id: String?, secret: [UInt8]) {
    guard secret.count >= JWTKey.minSecretBytes else { return nil }
    (self.id, algorithm, material) = (id, .hs256, .secret(secret))
  }

  /// Nil if the key is of a kind that is not supported.
  init?(id: String?, pair: KeyPair) {
    guard let algorithm = pair.algorithm else { return nil }
    (self.id, self.algorithm, material) = (id, algorithm, .pair(pair))
  }

  var canSign: Bool {
    switch material {
    case .secret: true
    case .pair(let pair): pair.canSign
    }
  }

  /// Returns whether the key has made this signature of the message. The signature is in the form of JWS.
  func verifies(_ signature: [UInt8], of message: ArraySlice<UInt8>) -> Bool {
    switch material {
    case .secret(let secret): return areSame(signature, hmacSHA256(message, key: secret))
    case .pair(let pair):
      guard algorithm == .es256 else { return pair.verifies(signature, of: message) }
      guard let der = DER.p256Signature(signature) else { return false }
      return pair.verifies(der, of: message)
    }
  }

  /// Returns the signature of a message, in the form of JWS; nil if the key cannot sign.
  func signature(of message: [UInt8]) -> [UInt8]? {
    switch material {
    case .secret(let secret): hmacSHA256(message[...], key: secret)
    case .pair(let pair):
      pair.signature(of: message).flatMap { algorithm == .es256 ? DER.rawP256Signature($0) : $0 }
    }
  }
}
