import Confab

/// The user of a connection, stored as its context.
final class User: Sendable {
  let name: String
  init(_ name: String) { self.name = name }
}

/// Looks up the user of a token, in a database or another service.
func user(of token: String) async -> User? { token == "secret" ? User("Ann") : nil }

final class Door: Handler {
  func authorize(_ request: borrowing Request) -> Authorization {
    guard let token = request[header: "Authorization"] else {
      return .reject(Response(status: 401, headers: ["WWW-Authenticate": "Bearer"], "a token, please\n"))
    }
    return .ask {
      guard let user = await user(of: token) else { return .reject(Response(status: 403, "not you\n")) }
      return .accept(context: user)
    }
  }

  func response(to request: borrowing Request) -> Response? {
    request.path == "/health" ? Response("well\n") : nil
  }

  func received(_ message: Message, from connection: Connection) {
    guard let user = connection.context as? User else { return }
    connection.send("\(user.name) says: \(String(message))")
  }
}

let server = try Server(Configuration(port: 8080)) { loop in Door() }
try await server.run()
