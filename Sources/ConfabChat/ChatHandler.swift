internal import Confab

/// Passes each connection to its protocol. The context of a plain connection is its ``Visit``, or a ``PlainSpeaker`` if
/// the chat's engine is shared. That of a rich connection is its ``RichProtocol``.
final class ChatHandler: Handler {
  private let chat: Chat
  private let loop: EventLoop

  init(chat: Chat, on loop: EventLoop) { (self.chat, self.loop) = (chat, loop) }

  /// Answers the handshake when the room is open, so that a connected client gets all messages.
  func authorize(_ request: borrowing Request) -> Authorization {
    guard chat.rooms.hasPlace(for: request.room) else {
      return .refuse(Response(status: 503, "too many rooms\n"))
    }
    let visit = chat.rooms.visit(request.room, on: loop)
    if visit.room.isOpen { return .accept(context: visit) }
    // Shorter than the server's own timeout, so that the response has the reason.
    let patience = loop.handshakeTimeout * 9 / 10
    return .ask { [chat] in
      await visit.waitUntilOpen(within: patience)
      if visit.room.isOpen { return .accept(context: visit) }
      let reason = chat.isAvailable ? "room not open in time" : "the broker cannot be reached"
      return .refuse(Response(status: 503, reason + "\n"))
    }
  }

  func opened(_ connection: Connection, request: Request) {
    let isRich = request.subprotocol == Chat.subprotocol
    if let visit = connection.context as? Visit, visit.room.isOpen { return chat.begin(visit, isRich, connection) }
    // A custom handler has accepted the client without calling `authorize`.
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
    // Ends the visit. A sender keeps a reference to the connection.
    connection.context = nil
  }
}

extension Request {
  /// Name of the requested room: the path, percent-decoded, in NFC.
  fileprivate var room: String { path.composed }
}

extension Chat {
  /// Adds a connection to its room, which is open.
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

/// A connection that waits until its room is open.
private final class Arrival {
  let visit: Visit

  init(_ visit: Visit) { self.visit = visit }
}

/// A connection of the plain protocol whose messages may be pending.
private final class PlainSpeaker {
  let visit: Visit
  let sender: Sender

  init(_ visit: Visit, _ sender: Sender) { (self.visit, self.sender) = (visit, sender) }
}
