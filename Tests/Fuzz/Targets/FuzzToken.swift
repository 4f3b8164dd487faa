import ConfabChat

@testable import ConfabJWT

/// Verifies tokens. Depending on its first byte, the input is a token, the claims or the header of a token with a valid
/// signature, a key file, or base64url.
func fuzzToken(_ input: inout Input) {
  let kind = input.byte()
  let bytes = input.remaining()
  switch kind % 5 {
  case 0:
    // No input has the signature.
    let identity = try? keys.identity(of: String(decoding: bytes, as: UTF8.self), at: now)
    require(identity == nil, "a token without a signature is accepted")
  case 1: checkClaims(bytes)
  case 2:
    let identity = try? keys.identity(of: signed(header: bytes, claims: Array(#"{"sub":"u"}"#.utf8)), at: now)
    require(identity?.id ?? "u" == "u", "the header changes the identity")
  case 3: _ = try? JWTKeys(content: bytes)
  default:
    let text = bytes
    guard let decoded = Base64URL.decode(text) else { return }
    require(Base64URL.encode(decoded) == text, "two texts of one value")
  }
}

private let now: Int64 = 1_800_000_000_000
private let secret = Array("0123456789abcdef0123456789abcdef".utf8)
private let keys = try! JWTKeys(content: secret)

private func signed(header: [UInt8], claims: [UInt8]) -> String {
  let message = Base64URL.encode(header) + [UInt8(ascii: ".")] + Base64URL.encode(claims)
  let signature = hmacSHA256(message[...], key: secret)
  return String(decoding: message + [UInt8(ascii: ".")] + Base64URL.encode(signature), as: UTF8.self)
}

/// Accepted claims are within their limits, and are read the same after they are written.
private func checkClaims(_ bytes: [UInt8]) {
  let token = signed(header: Array(#"{"alg":"HS256"}"#.utf8), claims: bytes)
  guard let identity = try? keys.identity(of: token, at: now) else { return }
  require(1...256 ~= identity.id.utf8.count, "an id of \(identity.id.utf8.count) bytes")
  require(identity.rooms.count <= 256, "\(identity.rooms.count) rooms")
  if let expires = identity.expires { require(expires > now, "expired at \(expires)") }
  var whole = identity
  whole.expires = identity.expires.map { ($0 / 1000 + 1) * 1000 }
  guard let again = keys.token(for: whole), again.utf8.count <= Admission.maxTokenLength else { return }
  require((try? keys.identity(of: again, at: now)) == whole, "\(whole) is read otherwise")
}
