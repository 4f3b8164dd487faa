import Confab
import ConfabChat
import Foundation
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
    ("", "it must have a PEM key"), ("short", "32 to 4096"), (secret + " x", "32 to 4096"),
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
  func an_encoded_key_is_not_a_secret(_ pem: String) throws {
    let line = pem.split(separator: "\n").filter { !$0.hasPrefix("-") }.joined()
    let der = try #require(Data(base64Encoded: line))
    let hexadecimal = der.map { String(format: "%02x", $0) }.joined()
    for text in [line, hexadecimal, hexadecimal.uppercased(), Data(pem.utf8).base64EncodedString()] {
      #expect(reason(text)?.hasPrefix("it is an encoded key") == true, "\(text) is accepted")
    }
  }

  @Test func ssh_key_is_not_a_secret() {
    for algorithm in ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "sk-ssh-ed25519@openssh.com"] {
      let blob = [0, 0, 0, UInt8(algorithm.utf8.count)] + Array(algorithm.utf8) + [UInt8](repeating: 7, count: 40)
      #expect(reason(Data(blob).base64EncodedString())?.hasPrefix("it is an encoded key") == true, "\(algorithm)")
    }
  }

  @Test func json_in_another_form_is_not_a_secret() {
    let key = #"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#
    let text = #""{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}""#
    for form in [
      "[\(key)]", text, "https://issuer.example.org/.well-known/jwks.json", Data(key.utf8).base64EncodedString(),
      Data("[\(key)]".utf8).base64EncodedString(), Data(text.utf8).base64EncodedString(),
    ] { #expect(reason(form) != nil, "\(form) is accepted") }
  }

  @Test func secrets_of_common_generators_are_accepted() {
    for _ in 0..<2000 {
      let bytes = Data((0..<32).map { _ in UInt8.random(in: 0 ... .max) })
      #expect(
        reason(bytes.base64EncodedString()) == nil && reason(bytes.map { String(format: "%02x", $0) }.joined()) == nil)
    }
    #expect(reason("0b5e8c1f-6a0d-4e7f-9d2e-1f6a0d4e7f9d") == nil)
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
