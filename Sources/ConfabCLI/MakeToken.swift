import ArgumentParser
import Confab
import ConfabChat
import ConfabJWT

/// Makes a token for a client.
struct MakeToken: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "token",
    abstract: "Make a JSON Web Token for a client of a server with --auth-key, and print it.",
    discussion: """
      The key file has a secret on one line, a JWK with a secret, or a private key (PEM): RSA, P-256 or Ed25519. A \
      server verifies the token with the same secret, or with the public key.
      """)

  @Option(help: ArgumentHelp("File with the key that signs the token.", valueName: "file"))
  var key: String

  @Option(
    help: ArgumentHelp(
      "Identifier of the user, the claim sub. (default: the name)", valueName: "id"))
  var id: String?

  @Option(
    help: ArgumentHelp("Verified name of the user. Without this option, the user chooses a name.", valueName: "name"))
  var name: String?

  @Option(
    help: ArgumentHelp(
      """
      Room that the user may enter, like /tea, or /team/* for all rooms whose path begins with /team/. May be given \
      several times. (default: all rooms)
      """, valueName: "path"))
  var room: [String] = []

  @Option(
    help: ArgumentHelp("Rights of the user: some of read,say,history,moderate.", valueName: "rights"))
  var rights = UserRights(.member)

  @Option(
    name: .customLong("for"),
    help: ArgumentHelp("Time until the token expires: a number and s, m, h or d, such as 12h.", valueName: "time"))
  var lifetime = Lifetime(seconds: 3600)

  @Option(help: ArgumentHelp("Audience of the token, the claim aud. (default: none)", valueName: "text"))
  var audience: String?

  func run() throws {
    let keys = try JWTKeys(files: [key])
    guard let id = id ?? name else { throw Failure("--id or --name is missing") }
    guard 1...Identity.maxIDLength ~= id.utf8.count else {
      throw Failure("--id must have 1 to \(Identity.maxIDLength) bytes")
    }
    let rooms = try room.map { text in
      guard let pattern = RoomPattern(text) else { throw Failure("--room must begin with /, not '\(text)'") }
      return pattern
    }
    let identity = Identity(
      id: id, name: name, rights: rights.rights, rooms: rooms.isEmpty ? [.all] : rooms,
      expires: JWTKeys.currentTime + lifetime.seconds * 1000)
    guard let token = keys.token(for: identity, audience: audience) else {
      throw Failure("'\(key)' has no secret and no private key, so it cannot sign")
    }
    do throws(JWTError) {
      _ = try keys.identity(of: token, audience: audience)
    } catch {
      throw Failure("servers would reject the token: \(error)")
    }
    StandardStream.output.write("\(token)\n")
  }
}

/// The rights of a token: names that are separated by commas.
struct UserRights: ExpressibleByArgument, CustomStringConvertible {
  let rights: Rights

  init(_ rights: Rights) { self.rights = rights }

  init?(argument: String) {
    guard let rights = Rights(names: argument.parts(separatedBy: ",").map { String($0.trimmed) }) else { return nil }
    self.rights = rights
  }

  var description: String { rights.names.joined(separator: ",") }
  var defaultValueDescription: String { description }
}

/// A time on the command line with a unit, like 90s, 30m, 12h or 7d.
struct Lifetime: ExpressibleByArgument, CustomStringConvertible {
  let seconds: Int64

  init(seconds: Int64) { self.seconds = seconds }

  init?(argument: String) {
    let units: [UInt8: Int64] = [
      UInt8(ascii: "s"): 1, UInt8(ascii: "m"): 60, UInt8(ascii: "h"): 3600, UInt8(ascii: "d"): 86400,
    ]
    guard let unit = argument.utf8.last.flatMap({ units[$0] }), let count = Int64(Substring(argument.utf8.dropLast())),
      1...1_000_000_000 ~= count
    else { return nil }
    seconds = count * unit
  }

  var description: String { seconds % 3600 == 0 ? "\(seconds / 3600)h" : "\(seconds)s" }
  var defaultValueDescription: String { description }
}
