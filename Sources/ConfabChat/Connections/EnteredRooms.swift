internal import Confab

/// A room that a connection has entered, besides the room of its path. Loop thread only.
final class EnteredRoom {
  private let reference: RoomReference
  /// Number of the entry. Calls that were made for an earlier entry of the same room have another one.
  fileprivate let number: Int
  var room: ChatRoom { reference.room }
  /// The client's member; nil before the welcome.
  fileprivate(set) var member: Member?
  let standing: Standing
  var typedAt: ContinuousClock.Instant?
  /// The `enter` event of the client, for the welcome and for errors before the welcome; nil after the welcome.
  fileprivate var enter: (event: ClientEvent.Hello, head: ClientEvent.Head)?
  /// Whether the entry has checked that the room has all messages that the client has. It waits for them once.
  fileprivate var hasWaited = false

  fileprivate init(
    _ number: Int, _ reference: consuming RoomReference, _ standing: Standing, _ enter: ClientEvent.Hello,
    _ head: ClientEvent.Head
  ) {
    self.number = number
    self.standing = standing
    self.reference = reference
    self.enter = (enter, head)
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
  private var all: [ByteKey: EnteredRoom] = [:]
  private var lastNumber = 0

  fileprivate(set) subscript(name: String) -> EnteredRoom? {
    get { all[ByteKey(name)] }
    set { all[ByteKey(name)] = newValue }
  }
  var names: [String] { all.keys.map(\.text) }
  fileprivate var count: Int { all.count }

  /// Returns the number of another entry.
  fileprivate mutating func nextNumber() -> Int {
    lastNumber += 1
    return lastNumber
  }

  fileprivate mutating func removeAll() -> [EnteredRoom] {
    defer { all = [:] }
    return Array(all.values)
  }

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
    if name.isSame(as: room.name) || entered[name] != nil {
      return reject(.alreadyIntroduced, "room already entered")
    }
    let limit = connection.loop.maxRoomsPerConnection
    guard 1 + entered.count < limit else { return reject(.tooManyRooms, "at most \(limit) rooms") }
    guard client?.identity.mayEnter(name) ?? true else { return reject(.forbidden, "room not allowed") }
    guard let rooms = room.rooms, rooms.hasCapacity(for: name, isEntered: true) else {
      return reject(.unavailable, "too many rooms")
    }
    let standing = Standing(standing.moderation, at: standing.address, in: name)
    let number = entered.nextNumber()
    let entry = EnteredRoom(number, rooms.reference(to: name, on: connection.loop), standing, enter, head)
    entered[name] = entry
    entry.room.keepOrder()
    if entry.room.isOpen { return goOn(entry, connection) }
    entry.room.whenOpen(ObjectIdentifier(entry)) { [weak connection, loop = connection.loop] in
      loop.execute { [weak connection] in
        guard let connection, let state = connection.handlerState as? RichConnection else { return }
        state.goOn(name, number, connection)
      }
    }
    connection.loop.execute(after: connection.loop.handshakeTimeout * 9 / 10) { [weak connection] in
      guard let connection, let entry = (connection.handlerState as? RichConnection)?.entered[name],
        entry.number == number
      else { return }
      entry.room.stopWaiting(ObjectIdentifier(entry))
    }
  }

  /// Continues with an entry that waited, unless the client has left the room or the connection is closing.
  private func goOn(_ name: String, _ number: Int, _ connection: Connection) {
    guard connection.readyState == .open, let entry = entered[name], entry.number == number, entry.member == nil
    else { return }
    goOn(entry, connection)
  }

  private func goOn(_ entry: EnteredRoom, _ connection: Connection) {
    let (room, name) = (entry.room, entry.room.name)
    guard let enter = entry.enter?.event else { return }
    guard room.isOpen else { return reject(entry, ErrorEvent(.unavailable, "room not open in time"), connection) }
    if !entry.hasWaited {
      entry.hasWaited = true
      let resume: @Sendable () -> Void = { [weak connection, number = entry.number] in
        guard let connection else { return }
        (connection.handlerState as? RichConnection)?.goOn(name, number, connection)
      }
      if !room.hasCaughtUp(with: enter, connection, resume) {
        connection.loop.execute(after: ChatRoom.catchUpTimeout, resume)
        return
      }
    }
    room.stopWaiting(connection)
    welcome(entry, enter, connection)
  }

  private func welcome(_ entry: EnteredRoom, _ enter: ClientEvent.Hello, _ connection: Connection) {
    let (room, standing) = (entry.room, entry.standing)
    guard connection.logs.count < connection.loop.maxRoomsPerConnection else {
      return reject(entry, ErrorEvent(.tooManyRooms, "too many rooms"), connection)
    }
    let hello: ClientEvent.Hello
    do throws(ErrorEvent) { hello = try admitted(enter, to: room) } catch {
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
      (entry.member, standing.guest, entry.enter) = (join.session.member, join.session.guest, nil)
      charge(response: join.welcomeBytes, connection)
      checkAfterJoining(room, standing, connection)
    } catch {
      reject(entry, ErrorEvent(.nameTaken, "name taken", proposal: error.proposal), connection)
    }
  }

  private func reject(_ entry: EnteredRoom, _ error: ErrorEvent, _ connection: Connection) {
    entered[entry.room.name] = nil
    entry.leave(connection)
    sendError(error, about: entry.enter?.head ?? ClientEvent.Head(room: entry.room.name), connection)
  }

  /// Leaves a room, and confirms that.
  func leave(_ head: ClientEvent.Head, _ connection: Connection) {
    guard let name = head.room else { return countMalformed(connection) }
    if !leave(name, connection) { sendError(ErrorEvent(.notEntered, "room not entered"), about: head, connection) }
  }

  /// Leaves a room. Returns whether the client had entered it.
  func leave(_ name: String, _ connection: Connection) -> Bool {
    guard let entry = entered[name] else { return false }
    entered[name] = nil
    entry.leave(connection)
    connection.send(LeftEvent(room: name))
    return true
  }

  /// Leaves all rooms of a connection that is closed.
  func leaveEnteredRooms(_ connection: Connection) {
    for entry in entered.removeAll() { entry.leave(connection) }
  }
}
