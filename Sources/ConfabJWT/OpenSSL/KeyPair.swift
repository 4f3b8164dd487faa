internal import COpenSSL

/// A public key for signatures, with the private key if that is known. Any thread: OpenSSL's functions do not change
/// it.
@safe final class KeyPair: @unchecked Sendable {
  /// Owned, and freed with this object.
  private let key: OpaquePointer
  private let isPrivate: Bool

  private init(owned key: OpaquePointer, isPrivate: Bool) { unsafe (self.key, self.isPrivate) = (key, isPrivate) }

  deinit { unsafe EVP_PKEY_free(key) }

  /// Parses the first key of a PEM file: a public key, a certificate, or a private key without a password. Returns nil
  /// if the file does not have such a key.
  convenience init?(pem: [UInt8]) {
    // Errors left in OpenSSL's queue would be attributed to libwebsockets' TLS calls on this thread.
    defer { ERR_clear_error() }
    let readers: [(isPrivate: Bool, read: (OpaquePointer) -> OpaquePointer?)] = unsafe [
      (false, { unsafe PEM_read_bio_PUBKEY($0, nil, noPassword, nil) }),
      (true, { unsafe PEM_read_bio_PrivateKey($0, nil, noPassword, nil) }),
      (false, { unsafe certificateKey($0) }),
    ]
    for unsafe(isPrivate, read) in unsafe readers {
      let key = unsafe pem.withUnsafeBytes { bytes -> OpaquePointer? in
        guard let bio = unsafe BIO_new_mem_buf(bytes.baseAddress, Int32(bytes.count)) else { return nil }
        defer { unsafe BIO_free(bio) }
        return unsafe read(bio)
      }
      if let key = unsafe key {
        unsafe self.init(owned: key, isPrivate: isPrivate)
        return
      }
    }
    return nil
  }

  /// Parses a public key: the DER of a SubjectPublicKeyInfo (RFC 5280, section 4.1). Nil if it is malformed.
  convenience init?(der: [UInt8]) {
    defer { ERR_clear_error() }
    let key = unsafe der.withUnsafeBufferPointer { bytes -> OpaquePointer? in
      var position = bytes.baseAddress
      return unsafe d2i_PUBKEY(nil, &position, bytes.count)
    }
    guard let key = unsafe key else { return nil }
    unsafe self.init(owned: key, isPrivate: false)
  }

  /// The DER of the public key; empty if it cannot be encoded.
  var der: [UInt8] {
    defer { ERR_clear_error() }
    var bytes: UnsafeMutablePointer<UInt8>?
    let count = unsafe i2d_PUBKEY(key, &bytes)
    // Allocated by OpenSSL; freed here.
    defer { unsafe CRYPTO_free(bytes, #file, #line) }
    guard count > 0, let bytes = unsafe bytes else { return [] }
    return unsafe Array(UnsafeBufferPointer(start: bytes, count: Int(count)))
  }

  /// The signature algorithm of the key: RSA with 2,048 to 16,384 bits, the curve P-256, or Ed25519. Nil for other
  /// keys.
  var algorithm: SignatureAlgorithm? {
    switch unsafe confab_key_type(key) {
    case EVP_PKEY_RSA: unsafe 2048...16384 ~= confab_key_bits(key) ? .rs256 : nil
    case EVP_PKEY_EC: der.starts(with: DER.p256Prefix) ? .es256 : nil
    case EVP_PKEY_ED25519: .edDSA
    default: nil
    }
  }

  /// Whether the key can sign.
  var canSign: Bool { isPrivate }

  private var digest: OpaquePointer? {
    unsafe confab_key_type(key) == EVP_PKEY_ED25519 ? nil : EVP_sha256()
  }

  /// Returns whether the key has made this signature of the message. The signature is in OpenSSL's form.
  func verifies(_ signature: [UInt8], of message: ArraySlice<UInt8>) -> Bool {
    defer { ERR_clear_error() }
    guard let context = unsafe EVP_MD_CTX_new() else { return false }
    defer { unsafe EVP_MD_CTX_free(context) }
    guard unsafe EVP_DigestVerifyInit(context, nil, digest, nil, key) == 1 else { return false }
    return unsafe message.withUnsafeBufferPointer { message in
      unsafe EVP_DigestVerify(context, signature, signature.count, message.baseAddress, message.count) == 1
    }
  }

  /// Returns the signature of a message, in OpenSSL's form; nil if the key cannot sign.
  func signature(of message: [UInt8]) -> [UInt8]? {
    defer { ERR_clear_error() }
    guard isPrivate, let context = unsafe EVP_MD_CTX_new() else { return nil }
    defer { unsafe EVP_MD_CTX_free(context) }
    var count = 0
    guard unsafe EVP_DigestSignInit(context, nil, digest, nil, key) == 1,
      unsafe EVP_DigestSign(context, nil, &count, message, message.count) == 1
    else { return nil }
    var signature = [UInt8](repeating: 0, count: count)
    guard unsafe EVP_DigestSign(context, &signature, &count, message, message.count) == 1 else { return nil }
    return Array(signature.prefix(count))
  }
}

/// Returns the HMAC with SHA-256 (RFC 2104): 32 bytes.
func hmacSHA256(_ message: ArraySlice<UInt8>, key: [UInt8]) -> [UInt8] {
  var code = [UInt8](repeating: 0, count: 32)
  unsafe message.withUnsafeBufferPointer { message in
    _ = unsafe HMAC(EVP_sha256(), key, Int32(key.count), message.baseAddress, message.count, &code, nil)
  }
  return code
}

/// Compares all bytes in constant time.
func areSame(_ one: [UInt8], _ other: [UInt8]) -> Bool {
  guard one.count == other.count else { return false }
  return unsafe CRYPTO_memcmp(one, other, one.count) == 0
}

private func certificateKey(_ bio: OpaquePointer) -> OpaquePointer? {
  guard let certificate = unsafe PEM_read_bio_X509(bio, nil, noPassword, nil) else { return nil }
  defer { unsafe X509_free(certificate) }
  return unsafe X509_get_pubkey(certificate)
}

/// Returns no password. Without a callback, OpenSSL would ask for one on the terminal.
private func noPassword(
  _: UnsafeMutablePointer<CChar>?, _: Int32, _: Int32, _: UnsafeMutableRawPointer?
) -> Int32 { -1 }
