import Confab
import ConfabChat
import FoundationEssentials
import Testing

@testable import ConfabJWT

struct KeyFileTests {
  private func reason(_ content: String) -> String? {
    do throws(KeyFile.Invalid) {
      _ = try KeyFile.parse(Array(content.utf8))
      return nil
    } catch {
      return error.reason
    }
  }

  private static let unusable: [(String, String)] = [
    ("", "it must have a PEM key"), ("short", "32 to 4096"), (secret + " x", "without spaces"),
    (secret + "\n" + secret, "one line"), (String(repeating: "x", count: 4097), "32 to 4096"),
    ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "the PEM is not"),
    (TestKeys.lockedPrivate, "without a password"), (TestKeys.rsa1024Public, "2048 to 16384 bits"),
    (TestKeys.p384Public, "P-256"), (TestKeys.rsaPublic + "\n" + TestKeys.p256Public, "2 keys"),
    ("{", "it is not a JWK"), ("{}", "for signatures"), (#"{"keys":[]}"#, "no key for signatures"),
    (#"{"keys":{}}"#, "it is not a JWK"), (#"{"keys":[1]}"#, "key 1 of the set is not a JSON object"),
    (#"{"keys":[],"keys":[]}"#, "it is not a JWK"), (#"{"kty":"oct","k":"c2hvcnQ"}"#, "the key: a secret must have"),
    (#"{"keys":[{"kty":"oct","kid":"a","k":"+"}]}"#, "key 1 ('a') of the set is malformed"),
    (#"{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#, "malformed"), (#"{"kty":"OKP","crv":"X25519","x":"AAAA"}"#, "P-256"),
    (#"{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}"#, "malformed"),
    (#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#, "2048"), (#"{"kty":"RSA","n":"AQAB","e":"AQ"}"#, "malformed"),
    (#"{"kty":"RSA","e":"AQAB","n":""# + String(repeating: "A", count: 3000) + #""}"#, "malformed"),
  ]

  @Test(arguments: unusable) func unusableFileIsRejected(_ content: String, _ expected: String) {
    let reason = reason(content)
    #expect(reason?.contains(expected) == true, "\(reason ?? "accepted")")
  }

  /// Some issuers publish a key as the base64 without the PEM lines. As a secret, everybody would know it.
  @Test(arguments: [TestKeys.rsaPublic, TestKeys.p256Public, TestKeys.ed25519Public, TestKeys.p256Certificate])
  func keyWithoutPEMLinesIsNoSecret(_ pem: String) {
    let line = pem.split(separator: "\n").filter { !$0.hasPrefix("-") }.joined()
    #expect(reason(line) == "it is a key without the PEM lines BEGIN and END")
  }

  /// A point that is not on the curve must not become a key.
  @Test func pointOffTheCurveIsRejected() {
    let x = String(repeating: "A", count: 43)
    #expect(reason(#"{"kty":"EC","crv":"P-256","x":"\#(x)","y":"\#(x)"}"#)?.contains("malformed") == true)
  }

  @Test func keysForOtherPurposesAreIgnored() throws {
    let k = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"
    let keys = try KeyFile.parse(
      Array(
        """
        {"keys":[{"kty":"oct","use":"enc","k":"\(k)"},{"kty":"oct","alg":"HS512","k":"\(k)"},{"kty":"new"},{},
        {"kty":"oct","key_ops":["sign"],"k":"\(k)"},{"kty":"oct","kid":"a","use":"sig","key_ops":["verify"],"k":"\(k)"}]}
        """.utf8))
    #expect(keys.map(\.id) == ["a"])
  }

  @Test func reloadTakesNewKeysOrKeepsTheOldOnes() throws {
    let file = FileManager.default.temporaryDirectory.appending(path: "confab-key-\(UInt64.random(in: 0 ... .max))")
    defer { try? FileManager.default.removeItem(at: file) }
    try Data(secret.utf8).write(to: file)
    let keys = try JWTKeys(files: [file.path])
    let old = token(#"{"sub":"u"}"#)
    _ = try keys.identity(of: old)
    try Data("broken".utf8).write(to: file)
    let error = #expect(throws: ConfabError.self) { try keys.reload() }
    #expect(error?.code == .invalidKey && error?.message.contains(file.path) == true)
    _ = try keys.identity(of: old)
    try Data(String(secret.reversed()).utf8).write(to: file)
    try keys.reload()
    #expect(throws: JWTError.signature) { try keys.identity(of: old) }
  }

  @Test func missingFileIsNamed() {
    let error = #expect(throws: ConfabError.self) { try JWTKeys(files: ["/nonexistent/key"]) }
    #expect(error?.message == "the key file '/nonexistent/key' is not usable: No such file or directory")
  }

  @Test func tooManyKeysAreRejected() {
    let key = #"{"kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}"#
    func set(_ count: Int) -> [UInt8] {
      Array(#"{"keys":[\#([String](repeating: key, count: count).joined(separator: ","))]}"#.utf8)
    }
    #expect(throws: Never.self) { try JWTKeys(content: set(16)) }
    #expect(throws: ConfabError.self) { try JWTKeys(content: set(17)) }
  }
}
