internal import Confab
public import ConfabChat

extension Admission {
  /// Admits clients with a JSON Web Token.
  ///
  /// - Parameters:
  ///   - keys: verify the tokens. After ``JWTKeys/reload()``, new tokens are verified with the new keys; admitted
  ///     clients stay.
  ///   - audience: the text that the claim `aud` must be or contain; nil accepts tokens for every audience.
  ///   - guests: rights of clients without a token. They may enter every room and choose a name, except a verified name
  ///     that is in use. Nil rejects clients without a token.
  public static func jwt(_ keys: JWTKeys, audience: String? = nil, guests: Rights? = nil) -> Admission {
    Admission(deciding: { _, token in
      guard let token else {
        guard let guests else { return .reject(AdmissionError(.tokenRequired)) }
        var guest = Identity(id: "guest-\(UInt64.random(in: 0 ... .max))", rights: guests)
        guest.isGuest = true
        return .admit(guest)
      }
      do throws(JWTError) {
        return .admit(try keys.identity(of: token, audience: audience))
      } catch {
        return .reject(AdmissionError(error))
      }
    })
  }
}

extension AdmissionError {
  /// Hides details that are useful only to attackers.
  fileprivate init(_ error: JWTError) {
    switch error {
    case .expired: self.init(.tokenExpired)
    case .notYetValid: self.init(.tokenInvalid, "token not valid yet")
    case .malformed, .algorithm, .signature, .audience, .claim: self.init(.tokenInvalid)
    }
  }
}
