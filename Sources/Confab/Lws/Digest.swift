internal import CLibwebsockets

/// The SHA-256 digest of some bytes, 32 bytes, by OpenSSL, which libwebsockets brings.
package func sha256(_ bytes: [UInt8]) -> [UInt8] {
  var digest = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_LENGTH))
  unsafe _ = SHA256(bytes, bytes.count, &digest)
  return digest
}
