import Confab
import ConfabChat

/// The user of a connection, stored as its context.
final class User: Sendable {
  let name: String
  init(_ name: String) { self.name = name }
}

/// Lets users with a token into the chat, and passes all other calls on to it.
final class Host: Handler {
  private let chat: any Handler
  init(_ chat: any Handler) { self.chat = chat }

  func authorize(_ request: borrowing Request) -> Authorization {
    guard request[query: "token"] == "secret" else { return .reject(Response(status: 401, "a token, please\n")) }
    return chat.authorize(request).with(context: User("Ann"))
  }

  func opened(_ connection: Connection, request: Request) { chat.opened(connection, request: request) }
  func received(_ message: Message, from connection: Connection) { chat.received(message, from: connection) }
  func moving(_ connection: Connection, after delay: Duration) { chat.moving(connection, after: delay) }
  func closed(_ connection: Connection, _ close: Close) { chat.closed(connection, close) }
}

let chat = Chat()
let server = try chat.makeServer(Configuration(port: 8080)) { loop in Host(chat.handler(on: loop)) }

/// Reads the lobby, and answers questions there.
let bot = Task {
  for try await message in chat.publications(in: "/") where message.name != "Bot" {
    switch message.text {
    case "!members": try await chat.publish("\(chat.members(of: "/").count) members", in: "/", as: "Bot")
    case "!quit": await server.close(.normal, reason: "you asked for it") { ($0.context as? User)?.name == "Ann" }
    default: break
    }
  }
}
try await server.run()
bot.cancel()
