internal import CLibwebsockets

/// Returns the SHA-256 digest of `bytes`: 32 bytes, by OpenSSL, which comes with libwebsockets.
package func sha256(_ bytes: [UInt8]) -> [UInt8] {
  var digest = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_LENGTH))
  unsafe _ = SHA256(bytes, bytes.count, &digest)
  return digest
}
