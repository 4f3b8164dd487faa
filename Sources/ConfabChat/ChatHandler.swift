internal import Confab

/// Hands each connection to the protocol that it speaks. A connection's context is its ``Visit``, if it speaks the plain
/// one, with a ``Sender`` if the chat's engine is shared: a ``PlainSpeaker``; otherwise its ``RichProtocol``.
final class ChatHandler: Handler {
  private let chat: Chat
  private let loop: EventLoop

  init(chat: Chat, on loop: EventLoop) { (self.chat, self.loop) = (chat, loop) }

  /// The handshake is answered when the room is open, so that a client that is connected hears what is said.
  func authorize(_ request: borrowing Request) -> Authorization {
    guard chat.rooms.hasPlace(for: request.room) else {
      return .refuse(Response(status: 503, "there are too many rooms\n"))
    }
    let visit = chat.rooms.visit(request.room, on: loop)
    if visit.room.isOpen { return .accept(context: visit) }
    // Before the server says that the time is up, since it does not know why.
    let patience = loop.handshakeTimeout * 9 / 10
    return .ask { [chat] in
      await visit.waitUntilOpen(within: patience)
      if visit.room.isOpen { return .accept(context: visit) }
      let reason = chat.isAvailable ? "the room has not been opened in time" : "the broker cannot be reached"
      return .refuse(Response(status: 503, reason + "\n"))
    }
  }

  func opened(_ connection: Connection, request: Request) {
    let isRich = request.subprotocol == Chat.subprotocol
    if let visit = connection.context as? Visit, visit.room.isOpen { return chat.begin(visit, isRich, connection) }
    // Another handler, which passes its calls on to this one, has accepted the client by itself.
    let arrival = Arrival(chat.rooms.visit(request.room, on: loop))
    connection.context = arrival
    if arrival.visit.room.isOpen { return chat.begin(arrival.visit, isRich, connection) }
    connection.pauseReading()
    arrival.visit.whenOpen { [chat, loop, weak connection] in
      guard let connection else { return }
      loop.execute {
        guard let arrival = connection.context as? Arrival else { return }
        chat.begin(arrival.visit, isRich, connection)
        connection.resumeReading()
      }
    }
  }

  func received(_ message: Message, from connection: Connection) {
    switch connection.context {
    case let visit as Visit: visit.room.say(message)
    case let plain as PlainSpeaker:
      if plain.sender.isRefused {
        return connection.close(.tryAgainLater, reason: "too many messages are waiting")
      }
      plain.visit.room.say(message, from: plain.sender)
    case let rich as RichProtocol: rich.received(message, from: connection)
    default: break
    }
  }

  func moving(_ connection: Connection, after delay: Duration) {
    if connection.context is RichProtocol { connection.send(MovingEvent(after: delay)) }
  }

  func closed(_ connection: Connection, _ close: Close) {
    switch connection.context {
    case let visit as Visit: visit.room.leave(connection)
    case let plain as PlainSpeaker: plain.visit.room.leave(connection)
    case let rich as RichProtocol: rich.left(connection)
    case is Arrival: break
    default: return
    }
    // The visit ends. A sender has the connection.
    connection.context = nil
  }
}

extension Request {
  /// The name of the room that it is for: the path, percent-decoded, in NFC.
  fileprivate var room: String { path.composed }
}

extension Chat {
  /// Lets a connection into its room, which is open.
  fileprivate func begin(_ visit: Visit, _ isRich: Bool, _ connection: Connection) {
    if isRich {
      visit.room.record()
      connection.context = RichProtocol(visit, sender(connection), errors)
    } else {
      connection.context = sender(connection).map { PlainSpeaker(visit, $0) } ?? visit
      visit.room.admit(connection)
    }
  }
}

/// A connection that waits for its room to be open.
private final class Arrival {
  let visit: Visit

  init(_ visit: Visit) { self.visit = visit }
}

/// A connection of the plain protocol whose messages may have to wait for their place.
private final class PlainSpeaker {
  let visit: Visit
  let sender: Sender

  init(_ visit: Visit, _ sender: Sender) { (self.visit, self.sender) = (visit, sender) }
}
