internal import Confab

/// Hands each connection to the protocol that it speaks. A connection's context is its ``Room``, if it speaks the plain
/// one, with a ``Sender`` if the chat's engine is shared: a ``PlainSpeaker``; otherwise its ``RichProtocol``.
final class ChatHandler: Handler {
  private let chat: Chat

  init(chat: Chat) { self.chat = chat }

  func authorize(_ request: borrowing Request) -> Authorization {
    chat.rooms.hasPlace(for: request.path) ? .accept() : .refuse(Response(status: 503, "there are too many rooms\n"))
  }

  func opened(_ connection: Connection, request: Request) {
    let room = chat.rooms.enter(request.path)
    if request.subprotocol == Chat.subprotocol {
      room.record()
      connection.context = RichProtocol(room, chat.sender(connection), chat.errors)
    } else {
      connection.context = chat.sender(connection).map { PlainSpeaker(room, $0) } ?? room
      room.admit(connection)
    }
  }

  func received(_ message: Message, from connection: Connection) {
    switch connection.context {
    case let room as Room: room.say(message)
    case let plain as PlainSpeaker: plain.room.say(message, from: plain.sender)
    case let rich as RichProtocol: rich.received(message, from: connection)
    default: break
    }
  }

  func moving(_ connection: Connection, after delay: Duration) {
    if connection.context is RichProtocol { connection.send(MovingEvent(after: delay)) }
  }

  func closed(_ connection: Connection, _ close: Close) {
    let room: Room
    switch connection.context {
    case let plain as Room: room = plain
    case let plain as PlainSpeaker: room = plain.room
    case let rich as RichProtocol: room = rich.room
    default: return
    }
    if let rich = connection.context as? RichProtocol { rich.left(connection) } else { room.leave(connection) }
    chat.rooms.leave(room)
    chat.rooms.sweepLater(on: connection.loop)
    // It has the connection's sender, which has the connection.
    connection.context = nil
  }
}

/// A connection of the plain protocol whose messages may have to wait for their place.
private final class PlainSpeaker {
  let room: Room
  let sender: Sender

  init(_ room: Room, _ sender: Sender) { (self.room, self.sender) = (room, sender) }
}
