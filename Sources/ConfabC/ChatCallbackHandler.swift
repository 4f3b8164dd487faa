internal import Confab

/// Passes the calls of a chat's connections on to the chat, and to the program.
final class ChatCallbackHandler: Handler {
  private let chat: any Handler
  private let program: CallbackHandler

  init(_ chat: any Handler, _ program: CallbackHandler) { (self.chat, self.program) = (chat, program) }

  func authorize(_ request: borrowing Request) -> Authorization { chat.authorize(request) }

  func response(to request: borrowing Request) -> Response? { program.response(to: request) }

  // The program is called before the chat for a new connection, and after the chat for a closed one.

  func opened(_ connection: Connection, request: Request) {
    program.opened(connection, request: request)
    chat.opened(connection, request: request)
  }

  func received(_ message: Message, from connection: Connection) { chat.received(message, from: connection) }

  func drained(_ connection: Connection) {
    chat.drained(connection)
    program.drained(connection)
  }

  func moving(_ connection: Connection, after delay: Duration) {
    chat.moving(connection, after: delay)
    program.moving(connection, after: delay)
  }

  func closed(_ connection: Connection, _ close: Close) {
    chat.closed(connection, close)
    program.closed(connection, close)
  }
}
