internal import Confab

/// The identity of a client in its room. Any thread.
final class AdmittedClient: Sendable {
  let identity: Identity
  /// The verified name, normalized; nil if the client chooses its name.
  let name: Name?
  let admission: Admission
  /// The client's request, for decisions about later tokens.
  let request: RequestHead

  /// Throws if the client may not enter the room, or if the identity cannot be used.
  init(
    _ identity: Identity, _ admission: Admission, _ request: RequestHead, _ options: ChatOptions
  ) throws(AdmissionError) {
    guard 1...Identity.maxIDLength ~= identity.id.utf8.count else { throw AdmissionError(.tokenInvalid) }
    if let expires = identity.expires, expires <= WallClock.milliseconds { throw AdmissionError(.tokenExpired) }
    guard identity.mayEnter(request.path) else { throw AdmissionError(.forbidden, "room not allowed") }
    name = try identity.name.map { text throws(AdmissionError) in
      guard let name = Name(text, limit: options.maxNameLength) else {
        throw AdmissionError(.tokenInvalid, "invalid name in the token")
      }
      return name
    }
    (self.identity, self.admission, self.request) = (identity, admission, request)
  }

  var rights: Rights { identity.rights }

  /// The user that owns the name; nil if the name is not verified.
  var owner: String? { name == nil ? nil : identity.id }

  /// Returns the client with the rights and the expiry of a new identity. The name does not change.
  func renewed(_ identity: Identity, _ options: ChatOptions) throws(AdmissionError) -> AdmittedClient {
    guard identity.id.isSame(as: self.identity.id) else { throw AdmissionError(.forbidden, "token of another user") }
    var renewed = identity
    renewed.name = self.identity.name
    return try AdmittedClient(renewed, admission, request, options)
  }
}
