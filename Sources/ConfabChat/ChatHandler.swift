internal import Confab

/// Passes each connection's calls to its ``ChatConnection``.
final class ChatHandler: Handler {
  private let chat: Chat
  private let loop: EventLoop

  init(chat: Chat, on loop: EventLoop) { (self.chat, self.loop) = (chat, loop) }

  func authorize(_ request: borrowing Request) -> Authorization {
    // A path may get longer in NFC. Such a room could not be entered or moderated.
    guard request.room.utf8.count <= loop.maxPathLength else {
      return .reject(Response(status: 414, "path too long\n"))
    }
    if chat.moderation.bans(request.remoteAddress, from: request.room) { return .banned }
    guard let admission = chat.admission else {
      // A rich client gets the reason of a ban as an event.
      let checksBan = !chat.moderation.isEmpty && !RequestHead(request).offersRichProtocol
      return chat.enter(request.room, nil, from: request.remoteAddress, on: loop, checksBan: checksBan)
    }
    return chat.authorize(RequestHead(request), admission, on: loop)
  }

  func opened(_ connection: Connection, request: Request) {
    let isRich = request.subprotocol == Chat.subprotocol
    // `handlerState` is nil if a custom handler has accepted the client without calling `authorize`.
    if let pending = connection.handlerState as? PendingConnection {
      chat.begin(connection, pending, isRich)
    } else if let admission = chat.admission {
      let client = connection.handlerState as? UnadmittedClient ?? unadmittedClient(request, admission)
      let state = UnadmittedConnection(chat, admission, client, isRich: isRich)
      connection.handlerState = state
      state.begin(connection)
    } else {
      let pending = PendingConnection(
        chat.rooms.reference(to: request.room, on: loop), nil, from: request.remoteAddress, on: loop)
      chat.begin(connection, pending, isRich)
    }
  }

  private func unadmittedClient(_ request: borrowing Request, _ admission: Admission) -> UnadmittedClient {
    let head = RequestHead(request)
    return UnadmittedClient(head, RequestToken(head, admission, on: loop))
  }

  func received(_ message: Message, from connection: Connection) {
    if let chatConnection = connection.handlerState as? ChatConnection {
      chatConnection.received(message, from: connection)
    } else {
      (connection.handlerState as? UnadmittedConnection)?.received(message, from: connection)
    }
  }

  func moving(_ connection: Connection, after delay: Duration) {
    (connection.handlerState as? ChatConnection)?.moving(connection, after: delay)
  }

  func closed(_ connection: Connection, _ close: Close) {
    switch connection.handlerState {
    case let state as ChatConnection: state.closed(connection)
    case let state as UnadmittedConnection: state.closed()
    case is PendingConnection: break
    default: return
    }
    // Releases the room now: a quota may retain the connection longer.
    connection.handlerState = nil
  }
}

extension Request {
  /// Name of the requested room: the path, percent-decoded, in NFC.
  fileprivate var room: String { path.composed }
}

extension Chat {
  /// Answers the handshake when the room is open, so that a connected client gets all messages.
  func enter(
    _ room: String, _ client: AdmittedClient?, from address: AddressRange?, on loop: EventLoop, checksBan: Bool = true
  ) -> Authorization {
    if checksBan, moderation.ban(of: ModeratedClient(client, nil, at: address), in: room) != nil { return .banned }
    guard rooms.hasCapacity(for: room) else { return .reject(Response(status: 503, "too many rooms\n")) }
    let pending = PendingConnection(rooms.reference(to: room, on: loop), client, from: address, on: loop)
    if pending.isOpen { return .accept(handlerState: pending) }
    // Shorter than the server's own timeout, so that the response has the reason.
    let timeout = loop.handshakeTimeout * 9 / 10
    return .ask { [self] in
      await pending.waitUntilOpen(within: timeout)
      if pending.isOpen { return .accept(handlerState: pending) }
      return .reject(Response(status: 503, notOpenReason + "\n"))
    }
  }

  /// Reason why a room has not opened in time.
  var notOpenReason: String { isAvailable ? "room not open in time" : "the broker cannot be reached" }

  /// Adds a connection to its room, when the room is open.
  func begin(_ connection: Connection, _ pending: PendingConnection, _ isRich: Bool) {
    if pending.isOpen { return add(connection, pending, isRich) }
    connection.handlerState = pending
    connection.pauseReading()
    pending.whenOpen { [self, loop = connection.loop, weak connection] in
      guard let connection else { return }
      loop.execute {
        guard let pending = connection.handlerState as? PendingConnection else { return }
        self.add(connection, pending, isRich)
        connection.resumeReading()
      }
    }
  }

  /// Adds a connection to its room, which is open.
  func add(_ connection: Connection, _ pending: PendingConnection, _ isRich: Bool) {
    guard let reference = pending.takeReference() else { return }
    let standing = Standing(moderation, at: pending.address, in: reference.room.name)
    // The restrictions may have been unknown in the handshake. A rich client gets the reason when its hello arrives.
    let client = ModeratedClient(pending.client, nil, at: pending.address)
    if !isRich, moderation.ban(of: client, in: reference.room.name) != nil {
      return connection.close(.notAdmitted, reason: "banned")
    }
    let quota = quota(connection)
    let state =
      isRich
      ? RichConnection(in: reference, pending.client, standing, quota, errors)
      : PlainConnection(connection, in: reference, pending.client, standing, quota)
    connection.handlerState = state
    state.watchExpiry(connection)
  }
}
