internal import Confab

/// The plain protocol, for clients that ask for no subprotocol: each message goes to everyone in the room as it is, with
/// the same kind and the same bytes.
final class PlainProtocol: Handler {
  private let chat: Chat

  init(chat: Chat) { self.chat = chat }

  func authorize(_ request: borrowing Request) -> Authorization {
    chat.hasRoom(for: request.path) ? .accept() : .refuse(Response(status: 503, "there are too many rooms\n"))
  }

  func opened(_ connection: Connection, request: Request) {
    let room = chat.enter(request.path)
    connection.context = room
    room.admit(connection)
  }

  func received(_ message: Message, from connection: Connection) {
    room(of: connection)?.say(message)
  }

  func closed(_ connection: Connection, _ close: Close) {
    if let room = room(of: connection) { chat.leave(room) }
  }

  private func room(of connection: Connection) -> Room? { connection.context as? Room }
}
