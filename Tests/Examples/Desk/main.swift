import Confab
import ConfabChat

/// Answers questions in the chat's rooms. It runs on the event loop's thread, so its state needs no lock.
actor Desk {
  nonisolated let loop: EventLoop
  private var questions = 0

  init(on loop: EventLoop) { self.loop = loop }

  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  func answer(_ connection: Connection) {
    questions += 1
    connection.send("question \(questions), of \(loop.connectionCount) people")
  }
}

/// Passes everything to the chat, and questions also to the desk.
final class Reception: Handler {
  let chat: any Handler
  let desk: Desk

  init(_ chat: any Handler, _ desk: Desk) { (self.chat, self.desk) = (chat, desk) }

  func authorize(_ request: borrowing Request) -> Authorization { chat.authorize(request) }
  func response(to request: borrowing Request) -> Response? { chat.response(to: request) }
  func opened(_ connection: Connection, request: Request) { chat.opened(connection, request: request) }

  func received(_ message: Message, from connection: Connection) {
    chat.received(message, from: connection)
    if String(message).hasSuffix("?") {
      // Already on the loop's thread: no waiting and no hop.
      desk.assumeIsolated { $0.answer(connection) }
    }
  }

  func drained(_ connection: Connection) { chat.drained(connection) }
  func moving(_ connection: Connection, after delay: Duration) { chat.moving(connection, after: delay) }
  func closed(_ connection: Connection, _ close: Close) { chat.closed(connection, close) }
}

let chat = Chat()
let server = try chat.makeServer(Configuration(port: 8080, mounts: [.chatPage])) { loop in
  Reception(chat.handler(on: loop), Desk(on: loop))
}
try await server.run()
