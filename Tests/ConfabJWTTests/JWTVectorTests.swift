import ConfabChat
import Testing

@testable import ConfabJWT

// The examples of RFC 7515, appendix A, and of RFC 8037, appendix A.4. Their claims have no `sub`, so a verified token
// is rejected for that, or for its payload, and not for its signature.

private let payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
/// Before `exp`.
private let time: Int64 = 1_300_819_379_000

struct JWTVector: Sendable, CustomTestStringConvertible {
  let name: String
  let key: String
  let token: String
  var error = JWTError.claim("sub")

  var testDescription: String { name }

  static let all = [
    JWTVector(
      name: "HS256",
      key: """
        {"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}
        """,
      token: "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\(payload).dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
    JWTVector(
      name: "RS256",
      key: """
        {"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEz\
        P1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-\
        KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethF\
        kMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}
        """,
      token: """
        eyJhbGciOiJSUzI1NiJ9.\(payload).cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5\
        YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0Ga\
        rZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhW\
        kWywlVmtVrBp0igcN_IoypGlUPQGe77Rw
        """),
    JWTVector(
      name: "ES256",
      key: """
        {"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",\
        "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
        """,
      token: """
        eyJhbGciOiJFUzI1NiJ9.\(payload).\
        DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q
        """),
    JWTVector(
      name: "EdDSA",
      key: #"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
      token: """
        eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
        hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg
        """, error: .malformed),
  ]
}

struct JWTVectorTests {
  @Test(arguments: JWTVector.all) func signatureIsVerified(_ vector: JWTVector) throws {
    let keys = try JWTKeys(content: Array(vector.key.utf8))
    #expect(throws: vector.error) { try keys.identity(of: vector.token, at: time) }
  }

  @Test(arguments: JWTVector.all) func everyByteOfASignatureCounts(_ vector: JWTVector) throws {
    let keys = try JWTKeys(content: Array(vector.key.utf8))
    let parts = vector.token.split(separator: ".")
    let signature = try #require(Base64URL.decode(parts[2].utf8))
    for index in signature.indices {
      var other = signature
      other[index] ^= 1
      let token = "\(parts[0]).\(parts[1])." + String(decoding: Base64URL.encode(other), as: UTF8.self)
      #expect(throws: JWTError.signature) { try keys.identity(of: token, at: time) }
    }
    for count in [0, signature.count - 1] {
      let short = String(decoding: Base64URL.encode(signature.prefix(count)), as: UTF8.self)
      #expect(throws: JWTError.signature) { try keys.identity(of: "\(parts[0]).\(parts[1]).\(short)", at: time) }
    }
  }

  @Test(arguments: JWTVector.all) func keyOfAnotherTypeVerifiesNothing(_ vector: JWTVector) throws {
    for other in JWTVector.all where other.name != vector.name {
      let keys = try JWTKeys(content: Array(other.key.utf8))
      #expect(throws: JWTError.signature) { try keys.identity(of: vector.token, at: time) }
    }
  }

  @Test func expiredTokenIsRejected() throws {
    let vector = JWTVector.all[0]
    let keys = try JWTKeys(content: Array(vector.key.utf8))
    #expect(throws: JWTError.expired) { try keys.identity(of: vector.token, at: 1_300_819_380_000) }
  }
}
