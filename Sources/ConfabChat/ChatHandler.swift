internal import Confab

/// Passes each connection's calls to its ``ChatConnection``.
final class ChatHandler: Handler {
  private let chat: Chat
  private let loop: EventLoop

  init(chat: Chat, on loop: EventLoop) { (self.chat, self.loop) = (chat, loop) }

  /// Answers the handshake when the room is open, so that a connected client gets all messages.
  func authorize(_ request: borrowing Request) -> Authorization {
    guard chat.rooms.hasCapacity(for: request.room) else {
      return .reject(Response(status: 503, "too many rooms\n"))
    }
    let pending = self.pending(request.room)
    if pending.isOpen { return .accept(handlerState: pending) }
    // Shorter than the server's own timeout, so that the response has the reason.
    let timeout = loop.handshakeTimeout * 9 / 10
    return .ask { [chat] in
      await pending.waitUntilOpen(within: timeout)
      if pending.isOpen { return .accept(handlerState: pending) }
      let reason = chat.isAvailable ? "room not open in time" : "the broker cannot be reached"
      return .reject(Response(status: 503, reason + "\n"))
    }
  }

  private func pending(_ room: String) -> PendingConnection {
    PendingConnection(chat.rooms.reference(to: room, on: loop), on: loop)
  }

  func opened(_ connection: Connection, request: Request) {
    let isRich = request.subprotocol == Chat.subprotocol
    // There is none if a custom handler has accepted the client without calling `authorize`.
    let pending = connection.handlerState as? PendingConnection ?? self.pending(request.room)
    if pending.isOpen { return chat.begin(connection, pending, isRich) }
    connection.handlerState = pending
    connection.pauseReading()
    pending.whenOpen { [chat, loop, weak connection] in
      guard let connection else { return }
      loop.execute {
        guard let pending = connection.handlerState as? PendingConnection else { return }
        chat.begin(connection, pending, isRich)
        connection.resumeReading()
      }
    }
  }

  func received(_ message: Message, from connection: Connection) {
    (connection.handlerState as? ChatConnection)?.received(message, from: connection)
  }

  func moving(_ connection: Connection, after delay: Duration) {
    (connection.handlerState as? ChatConnection)?.moving(connection, after: delay)
  }

  func closed(_ connection: Connection, _ close: Close) {
    let chatConnection = connection.handlerState as? ChatConnection
    guard chatConnection != nil || connection.handlerState is PendingConnection else { return }
    chatConnection?.closed(connection)
    // Releases the room. A quota keeps a reference to the connection.
    connection.handlerState = nil
  }
}

extension Request {
  /// Name of the requested room: the path, percent-decoded, in NFC.
  fileprivate var room: String { path.composed }
}

extension Chat {
  /// Adds a connection to its room, which is open.
  fileprivate func begin(_ connection: Connection, _ pending: PendingConnection, _ isRich: Bool) {
    guard let reference = pending.takeReference() else { return }
    let quota = quota(connection)
    connection.handlerState =
      isRich
      ? RichConnection(in: reference, quota, errors)
      : PlainConnection(connection, in: reference, quota)
  }
}
