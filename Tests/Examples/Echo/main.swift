import Confab

final class Echo: Handler {
  func received(_ message: Message, from connection: Connection) {
    connection.send(message)
  }
}

let server = try Server(Configuration(port: 8080)) { loop in Echo() }
try await server.run()
