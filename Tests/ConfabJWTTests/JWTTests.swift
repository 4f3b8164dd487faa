import ConfabChat
import Testing

@testable import ConfabJWT

let secret = "0123456789abcdef0123456789abcdef"
private let now: Int64 = 1_800_000_000_000

/// Returns the token with this JSON, signed with ``secret``.
func token(_ claims: String, header: String = #"{"alg":"HS256"}"#) -> String {
  let message = Base64URL.encode(header.utf8) + [UInt8(ascii: ".")] + Base64URL.encode(claims.utf8)
  let signature = hmacSHA256(message[...], key: Array(secret.utf8))
  return String(decoding: message + [UInt8(ascii: ".")] + Base64URL.encode(signature), as: UTF8.self)
}

struct JWTTests {
  let keys: JWTKeys

  init() throws { keys = try JWTKeys(content: Array(secret.utf8)) }

  private func identity(_ claims: String, audience: String? = nil) throws(JWTError) -> Identity {
    try keys.identity(of: token(claims), audience: audience, at: now)
  }

  // MARK: Claims

  @Test func claimsBecomeTheIdentity() throws {
    let identity = try identity(
      #"{"sub":"u1","name":"Ann","rooms":["/tea","/team/*"],"rights":["read","say"],"exp":1800000001.5,"iss":"x"}"#)
    #expect(identity.id == "u1" && identity.name == "Ann" && identity.rights == [.read, .say])
    #expect(identity.rooms.map(\.description) == ["/tea", "/team/*"] && identity.expires == 1_800_000_001_500)
  }

  @Test func missingClaimsHaveDefaults() throws {
    let identity = try identity(#"{"sub":"u1"}"#)
    #expect(identity == Identity(id: "u1", rights: [.read, .say, .history], rooms: [.all]))
  }

  private static let invalid: [(String, String)] = [
    ("{}", "sub"), (#"{"sub":""}"#, "sub"), (#"{"sub":1}"#, "sub"),
    (#"{"sub":""# + String(repeating: "x", count: 257) + #""}"#, "sub"),
    (#"{"sub":"u","name":1}"#, "name"), (#"{"sub":"u","name":["Ann"]}"#, "name"),
    (#"{"sub":"u","rooms":"/tea"}"#, "rooms"), (#"{"sub":"u","rooms":["tea"]}"#, "rooms"),
    (#"{"sub":"u","rooms":[1]}"#, "rooms"), (#"{"sub":"u","rooms":{}}"#, "rooms"),
    (#"{"sub":"u","rooms":["# + String(repeating: #""/a","#, count: 256) + #""/a"]}"#, "rooms"),
    (#"{"sub":"u","rights":"read"}"#, "rights"), (#"{"sub":"u","rights":["read","admin"]}"#, "rights"),
    (#"{"sub":"u","exp":"1800000001"}"#, "exp"), (#"{"sub":"u","exp":1e400}"#, "exp"),
    (#"{"sub":"u","exp":1e13}"#, "exp"), (#"{"sub":"u","exp":9223372036854775807}"#, "exp"),
    (#"{"sub":"u","exp":"# + String(repeating: "9", count: 40) + "}", "exp"), (#"{"sub":"u","exp":true}"#, "exp"),
    (#"{"sub":"u","nbf":"x"}"#, "nbf"), (#"{"sub":"u","nbf":-1e13}"#, "nbf"),
  ]

  @Test(arguments: invalid) func invalidClaimIsRejected(_ claims: String, _ name: String) {
    #expect(throws: JWTError.claim(name)) { try identity(claims) }
  }

  @Test(arguments: ["sub", "name", "rooms", "rights", "exp", "nbf", "aud"])
  func nullAndDuplicateClaimsAreRejected(_ name: String) {
    #expect(throws: JWTError.malformed) { try identity(#"{"sub":"u","\#(name)":null}"#) }
    #expect(throws: JWTError.malformed) { try identity(#"{"sub":"u","\#(name)":"1","\#(name)":"1"}"#) }
    let escaped = #"\u00\#(String(name.utf8.first!, radix: 16))"# + name.dropFirst()
    #expect(throws: JWTError.malformed) { try identity(#"{"sub":"u","\#(name)":"1","\#(escaped)":"1"}"#) }
  }

  @Test func timesAreChecked() throws {
    for time in ["1800000000", "1799999999.9", "0", "-1", "-1e12"] {
      #expect(throws: JWTError.expired) { try identity(#"{"sub":"u","exp":\#(time)}"#) }
    }
    #expect(throws: JWTError.notYetValid) { try identity(#"{"sub":"u","nbf":1800000010.1}"#) }
    _ = try identity(#"{"sub":"u","nbf":1800000010,"exp":1800000000.1}"#)
  }

  @Test func audienceIsChecked() throws {
    for aud in [#""chat""#, #"["x","chat"]"#] {
      _ = try identity(#"{"sub":"u","aud":\#(aud)}"#, audience: "chat")
      _ = try identity(#"{"sub":"u","aud":\#(aud)}"#)
    }
    for claims in [#"{"sub":"u"}"#, #"{"sub":"u","aud":"Chat"}"#, #"{"sub":"u","aud":[]}"#] {
      #expect(throws: JWTError.audience) { try identity(claims, audience: "chat") }
    }
    #expect(throws: JWTError.claim("aud")) { try identity(#"{"sub":"u","aud":1}"#, audience: "chat") }
  }

  // MARK: Algorithms

  @Test(arguments: [
    #"{"alg":"none"}"#, #"{"alg":"None"}"#, #"{"alg":"hs256"}"#, #"{"alg":"HS384"}"#, #"{"alg":"RS512"}"#,
    #"{"alg":""}"#, "{}", #"{"alg":"HS256","crit":["exp"]}"#, #"{"alg":"HS256","crit":[]}"#,
  ]) func otherAlgorithmsAreRejected(_ header: String) {
    #expect(throws: JWTError.algorithm) { try keys.identity(of: token(#"{"sub":"u"}"#, header: header), at: now) }
  }

  @Test(arguments: [
    #"{"alg":null}"#, #"{"alg":"HS256","alg":"HS256"}"#, #"{"alg":1}"#, #"{"alg":"HS256","kid":1}"#, "[]", "", "{",
  ]) func malformedHeaderIsRejected(_ header: String) {
    #expect(throws: JWTError.malformed) { try keys.identity(of: token(#"{"sub":"u"}"#, header: header), at: now) }
  }

  @Test func unsignedTokenIsRejected() {
    let none = String(decoding: Base64URL.encode(#"{"alg":"none"}"#.utf8), as: UTF8.self)
    let claims = String(decoding: Base64URL.encode(#"{"sub":"u"}"#.utf8), as: UTF8.self)
    #expect(throws: JWTError.algorithm) { try keys.identity(of: "\(none).\(claims).", at: now) }
    let signed = token(#"{"sub":"u"}"#)
    let header = signed.split(separator: ".")[0]
    #expect(throws: JWTError.signature) { try keys.identity(of: "\(header).\(claims).", at: now) }
  }

  /// The classic confusion: the public key, which everybody knows, as the secret of HS256.
  @Test(arguments: [TestKeys.rsaPublic, TestKeys.p256Public, TestKeys.ed25519Public])
  func publicKeyIsNoSecret(_ pem: String) throws {
    let keys = try JWTKeys(content: Array(pem.utf8))
    let message = Base64URL.encode(#"{"alg":"HS256"}"#.utf8) + [0x2E] + Base64URL.encode(#"{"sub":"u"}"#.utf8)
    for secret in [Array(pem.utf8), Array((pem + "\n").utf8)] {
      let signature = Base64URL.encode(hmacSHA256(message[...], key: secret))
      let token = String(decoding: message + [0x2E] + signature, as: UTF8.self)
      #expect(throws: JWTError.signature) { try keys.identity(of: token, at: now) }
    }
  }

  @Test(arguments: [
    "", ".", "..", "...", "a.b", "a.b.c.d", "é.é.é", "e30.e30.e30=", "e30 .e30.e30", "e3.e30.e30", "e31.e30.e30",
    String(repeating: "a", count: 8193), String(repeating: ".", count: 8192),
  ]) func malformedTokenIsRejected(_ token: String) {
    #expect(throws: JWTError.malformed) { try keys.identity(of: token, at: now) }
  }

  // MARK: Keys

  @Test func keyIsChosenByItsID() throws {
    let (one, two) = ("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY", "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU")
    let keys = try JWTKeys(
      content: Array(
        #"{"keys":[{"kty":"oct","kid":"one","k":"\#(one)"},{"kty":"oct","kid":"two","k":"\#(two)"}]}"#.utf8))
    func check(_ kid: String) throws(JWTError) {
      _ = try keys.identity(of: token(#"{"sub":"u"}"#, header: #"{"alg":"HS256"\#(kid)}"#), at: now)
    }
    try check(#","kid":"one""#)
    try check("")
    #expect(throws: JWTError.signature) { try check(#","kid":"two""#) }
    #expect(throws: JWTError.signature) { try check(#","kid":"three""#) }
  }

  @Test(arguments: [
    secret, TestKeys.rsaPrivate, TestKeys.p256Private, TestKeys.ed25519Private,
  ]) func tokenIsVerifiedByItsKey(_ key: String) throws {
    let keys = try JWTKeys(content: Array(key.utf8))
    let identity = Identity(
      id: "u", name: "Zoë \"Z\"", rights: [.read, .moderate], rooms: [try #require(RoomPattern("/a/*"))],
      expires: now + 1000)
    // ECDSA's numbers have leading zeros in one of 128 signatures.
    for _ in 0..<300 {
      let token = try #require(keys.token(for: identity, audience: "chat"))
      #expect(try keys.identity(of: token, audience: "chat", at: now) == identity)
    }
  }

  @Test func publicKeyVerifiesButDoesNotSign() throws {
    for (secret, open) in [
      (TestKeys.rsaPrivate, TestKeys.rsaPublic), (TestKeys.p256Private, TestKeys.p256Public),
      (TestKeys.p256Private, TestKeys.p256Certificate), (TestKeys.ed25519Private, TestKeys.ed25519Public),
    ] {
      let (signer, verifier) = (try JWTKeys(content: Array(secret.utf8)), try JWTKeys(content: Array(open.utf8)))
      let token = try #require(signer.token(for: Identity(id: "u")))
      #expect(try verifier.identity(of: token).id == "u")
      #expect(verifier.token(for: Identity(id: "u")) == nil)
    }
  }
}
