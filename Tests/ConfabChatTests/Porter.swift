import Confab

/// Passes connections on to the chat without asking it for authorization.
final class Porter: Handler {
  let chat: any Handler

  init(_ chat: any Handler) { self.chat = chat }

  func opened(_ connection: Connection, request: Request) { chat.opened(connection, request: request) }
  func received(_ message: Message, from connection: Connection) { chat.received(message, from: connection) }
  func closed(_ connection: Connection, _ close: Close) { chat.closed(connection, close) }
}
