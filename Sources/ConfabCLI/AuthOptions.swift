import ArgumentParser
import Confab
import ConfabChat
import ConfabJWT

private let defaults = Admission.open

/// Options that decide which clients may enter the chat.
struct AuthOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      File with a key that verifies the JSON Web Tokens of clients: a public key or certificate (PEM), a JWK, a JWK \
      set, or a secret on one line. May be given several times. With a key, clients need a token, unless \
      --allow-guests is given. SIGHUP reloads the files. (default: none)
      """, valueName: "file"))
  var authKey: [String] = []

  @Option(
    help: ArgumentHelp(
      """
      Audience that tokens must have: the claim aud is this text, or a list that contains it. (default: tokens for \
      every audience)
      """, valueName: "text"))
  var authAudience: String?

  @Option(
    help: ArgumentHelp(
      """
      Name of a cookie with the token. The cookie is used only if the Origin of the request is the server's own or is \
      named by --allow-origin. (default: none)
      """, valueName: "name"))
  var authCookie: String?

  @Option(
    help: ArgumentHelp(
      """
      Time for a client of the rich protocol to send a new token after its token has expired. If the client sends \
      none in this time, its connection is closed with 4002. Clients of the plain protocol are closed at once.
      """, valueName: "seconds"))
  var authGrace = Seconds(defaults.grace)

  @Option(
    help: ArgumentHelp(
      """
      Rights of clients without a token, such as read,say,history. These clients choose their names, but cannot \
      take the verified name of a user who is in the room. (default: clients without a token are rejected)
      """, valueName: "rights"))
  var allowGuests: GuestRights?

  /// Returns the keys; nil without key files.
  func makeKeys() throws(ConfabError) -> JWTKeys? { authKey.isEmpty ? nil : try JWTKeys(files: authKey) }

  /// Returns the admission with these options. `keys` is nil if every client is admitted.
  func makeAdmission(_ keys: JWTKeys?) -> Admission {
    guard let keys else { return .open }
    var admission = Admission.jwt(keys, audience: authAudience, guests: allowGuests?.rights)
    admission.cookie = authCookie
    admission.grace = authGrace.duration
    return admission
  }

  /// The problems of these options.
  var problems: [Problem] {
    var problems: [Problem] = []
    if authKey.isEmpty {
      let given = [
        ("authAudience", authAudience != nil), ("authCookie", authCookie != nil),
        ("authGrace", authGrace.duration != defaults.grace), ("allowGuests", allowGuests != nil),
      ]
      problems += given.filter(\.1).map { name, _ in Problem([name, "authKey"]) { "\($0[0]) needs \($0[1])" } }
    }
    if let authCookie, !authCookie.isEmpty, !authCookie.isToken {
      problems.append(Problem(["authCookie"]) { "\($0[0]) must be the name of a cookie, not '\(authCookie)'" })
    }
    do throws(ConfabError) {
      _ = try makeKeys()
    } catch {
      problems.append(Problem(["authKey"]) { _ in error.message })
    }
    return problems
  }
}

/// The rights of clients without a token: names that are separated by commas.
struct GuestRights: ExpressibleByArgument, CustomStringConvertible {
  let rights: Rights

  init?(argument: String) {
    guard let rights = Rights(names: argument.parts(separatedBy: ",").map { String($0.trimmed) }),
      rights.contains(.read), !rights.contains(.moderate)
    else { return nil }
    self.rights = rights
  }

  var description: String { rights.names.joined(separator: ",") }
}

extension GuestRights: Described {
  static var description: String { "read, or some of read,say,history" }
}
