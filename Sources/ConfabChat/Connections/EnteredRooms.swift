internal import Confab

/// A room that a connection has entered, besides the room of its path. Loop thread only.
final class EnteredRoom {
  private let reference: RoomReference
  var room: ChatRoom { reference.room }
  /// The client's member; nil before the welcome.
  fileprivate(set) var member: Member?
  let standing: Standing
  var typedAt: ContinuousClock.Instant?
  /// The `enter` event of the client, for the welcome and for errors before the welcome.
  fileprivate let enter: ClientEvent.Hello
  fileprivate let head: ClientEvent.Head
  /// Whether the entry has checked that the room has all messages that the client has. It waits for them once.
  fileprivate var hasWaited = false

  fileprivate init(
    _ reference: consuming RoomReference, _ standing: Standing, _ enter: ClientEvent.Hello, _ head: ClientEvent.Head
  ) {
    self.standing = standing
    self.reference = reference
    (self.enter, self.head) = (enter, head)
  }

  /// Leaves the room, or stops waiting for it.
  fileprivate func leave(_ connection: Connection) {
    room.stopWaiting(ObjectIdentifier(self))
    if let member { return room.leaveEntered(member, connection) }
    room.stopWaiting(connection)
  }
}

/// The rooms that a connection has entered, by their names. Loop thread only.
struct EnteredRooms {
  fileprivate var all: [String: EnteredRoom] = [:]

  subscript(name: String) -> EnteredRoom? { all[name] }
  var names: [String] { Array(all.keys) }

  /// Discards the results of the last look-ups of restrictions, because the client's rights have changed.
  func forgetRestrictions() { for entry in all.values { entry.standing.forget() } }
}

extension RichConnection {
  /// Enters a room. The welcome follows when the room is open and has the messages that the client has; other events of
  /// the client are handled meanwhile.
  func enter(_ enter: ClientEvent.Hello, _ head: ClientEvent.Head, _ connection: Connection) {
    guard let name = head.room else { return countMalformed(connection) }
    func reject(_ code: ErrorEvent.Code, _ text: String) {
      sendError(ErrorEvent(code, text), about: head, connection)
    }
    if name == room.name || entered.all[name] != nil {
      return reject(.alreadyIntroduced, "room already entered")
    }
    let limit = connection.loop.maxRoomsPerConnection
    guard 1 + entered.all.count < limit else { return reject(.tooManyRooms, "at most \(limit) rooms") }
    guard client?.identity.mayEnter(name) ?? true else { return reject(.forbidden, "room not allowed") }
    guard let rooms = room.rooms, rooms.hasCapacity(for: name) else { return reject(.unavailable, "too many rooms") }
    let standing = Standing(standing.moderation, at: standing.address, in: name)
    let entry = EnteredRoom(rooms.reference(to: name, on: connection.loop), standing, enter, head)
    entered.all[name] = entry
    entry.room.keepOrder()
    if entry.room.isOpen { return goOn(entry, connection) }
    let id = ObjectIdentifier(entry)
    entry.room.whenOpen(id) { [weak connection, loop = connection.loop] in
      loop.execute { [weak connection] in
        guard let connection, let state = connection.handlerState as? RichConnection else { return }
        state.goOn(name, id, connection)
      }
    }
    connection.loop.execute(after: connection.loop.handshakeTimeout * 9 / 10) { [weak connection] in
      guard let connection, let entry = (connection.handlerState as? RichConnection)?.entered[name] else { return }
      if ObjectIdentifier(entry) == id { entry.room.stopWaiting(id) }
    }
  }

  /// Continues with an entry that waited, unless the client has left the room.
  private func goOn(_ name: String, _ id: ObjectIdentifier, _ connection: Connection) {
    guard let entry = entered.all[name], ObjectIdentifier(entry) == id, entry.member == nil else { return }
    goOn(entry, connection)
  }

  private func goOn(_ entry: EnteredRoom, _ connection: Connection) {
    let (room, name) = (entry.room, entry.room.name)
    guard room.isOpen else { return reject(entry, ErrorEvent(.unavailable, "room not open in time"), connection) }
    if !entry.hasWaited {
      entry.hasWaited = true
      let id = ObjectIdentifier(entry)
      let resume: @Sendable () -> Void = { [weak connection] in
        guard let connection else { return }
        (connection.handlerState as? RichConnection)?.goOn(name, id, connection)
      }
      if !room.hasCaughtUp(with: entry.enter, connection, resume) {
        connection.loop.execute(after: ChatRoom.catchUpTimeout, resume)
        return
      }
    }
    room.stopWaiting(connection)
    welcome(entry, connection)
  }

  private func welcome(_ entry: EnteredRoom, _ connection: Connection) {
    let (room, standing) = (entry.room, entry.standing)
    guard connection.logs.count < connection.loop.maxRoomsPerConnection else {
      return reject(entry, ErrorEvent(.tooManyRooms, "too many rooms"), connection)
    }
    let hello: ClientEvent.Hello
    do throws(ErrorEvent) { hello = try admitted(entry.enter, to: room) } catch {
      return reject(entry, error, connection)
    }
    let limit = room.options.maxNameLength
    guard let name = client?.name ?? hello.name.map({ Name($0, limit: limit) }) ?? ownName(connection) else {
      return reject(entry, nameInvalid, connection)
    }
    do throws(ChatRoom.NameTaken) {
      guard
        let join = try room.welcome(hello, as: name, client, at: standing.address, connection, isEntered: true)
      else { return }
      (entry.member, standing.guest) = (join.session.member, join.session.guest)
      charge(response: join.welcomeBytes, connection)
      checkAfterJoining(room, standing, connection)
    } catch {
      reject(entry, ErrorEvent(.nameTaken, "name taken", proposal: error.proposal), connection)
    }
  }

  private func reject(_ entry: EnteredRoom, _ error: ErrorEvent, _ connection: Connection) {
    entered.all[entry.room.name] = nil
    entry.leave(connection)
    sendError(error, about: entry.head, connection)
  }

  /// Leaves a room, and confirms that.
  func leave(_ head: ClientEvent.Head, _ connection: Connection) {
    guard let name = head.room else { return countMalformed(connection) }
    if !leave(name, connection) { sendError(ErrorEvent(.notEntered, "room not entered"), about: head, connection) }
  }

  /// Leaves a room. Returns whether the client had entered it.
  func leave(_ name: String, _ connection: Connection) -> Bool {
    guard let entry = entered.all.removeValue(forKey: name) else { return false }
    entry.leave(connection)
    connection.send(LeftEvent(room: name))
    return true
  }

  /// Leaves all rooms of a connection that is closed.
  func leaveEnteredRooms(_ connection: Connection) {
    for entry in entered.all.values { entry.leave(connection) }
    entered = EnteredRooms()
  }
}
