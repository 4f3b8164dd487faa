internal import Confab

/// A connection of the rich protocol, `chat.confab.v1`. It handles the client's events, see Protocol.md in this
/// module's documentation.
final class RichConnection: ChatConnection {
  /// Number of malformed events after which a connection is closed with 1008.
  static let maxMalformed = 10
  /// Minimum interval between typing events of one client. The server ignores the others.
  static let typingInterval = Duration.seconds(2)
  /// Event size for which one more event is charged.
  static let bytesPerEvent = 16 << 10
  /// Response size for which one more event is charged.
  static let responseBytesPerEvent = 32 << 10
  /// Maximum number of renames at once, see ``ChatOptions/maxRenameRate``.
  static let renameBurst = 10
  /// Number of tokens that a rename takes: 60, because the limit is per minute, and the bucket's rate is per second.
  private static let renameCost = 60

  /// Delay in ms after which a client should retry while too many messages are pending.
  static let fullRetry = 1000

  /// Nil if the engine is not shared.
  let quota: PublisherQuota?
  private let errors: ErrorCounts
  /// The hello and the events after it, while the room does not have all messages that the client has; otherwise nil.
  private var waiting: [OwnedMessage]?
  /// Whether the connection has waited for the room. A connection waits at most once.
  private var hasWaited = false
  /// The client's member; nil before the welcome.
  private var member: Member?
  private var rate: TokenBucket
  private var renameRate: TokenBucket
  private let maxBytes: Int
  private var malformed = 0
  /// Head of the current event, for errors about it.
  private(set) var head = ClientEvent.Head()
  var typedAt: ContinuousClock.Instant?
  /// The rooms besides that of the path.
  var entered = EnteredRooms()

  init(
    in reference: consuming RoomReference, _ client: AdmittedClient?, _ standing: Standing, _ quota: PublisherQuota?,
    _ errors: ErrorCounts
  ) {
    (self.quota, self.errors) = (quota, errors)
    let options = reference.room.options
    maxBytes = ClientEvent.maxBytes(textLimit: options.maxTextLength)
    let now = reference.loop.now
    rate = TokenBucket(rate: options.maxEventRate, burst: options.maxEventBurst, now: now)
    renameRate = TokenBucket(
      rate: options.maxRenameRate, burst: RichConnection.renameBurst * RichConnection.renameCost, now: now)
    super.init(reference, client, standing)
    room.keepOrder()
  }

  override func moving(_ connection: Connection, after delay: Duration) {
    connection.send(MovingEvent(after: delay))
  }

  override func closed(_ connection: Connection) {
    admitted?.end()
    if waiting != nil { room.stopWaiting(connection) }
    if let member { room.leave(member, connection) }
    leaveEnteredRooms(connection)
  }

  // MARK: Rooms

  override func standing(in room: ChatRoom) -> Standing? {
    if let entered = entered[room.name], entered.room === room { return entered.standing }
    return super.standing(in: room)
  }

  /// Removes a client that must leave a room. Closes the connection only for the room of its path.
  override func end(in room: ChatRoom, reason: String, _ connection: Connection) {
    if !leave(room.name, connection) { super.end(in: room, reason: reason, connection) }
  }

  /// Leaves the rooms that the new identity may not enter.
  override func wasRenewed(_ connection: Connection) {
    super.wasRenewed(connection)
    entered.forgetRestrictions()
    guard let identity = client?.identity else { return }
    for name in entered.names where !identity.mayEnter(name) { _ = leave(name, connection) }
  }

  /// Continues after the room has caught up, or after the maximum waiting time.
  func resume(_ connection: Connection) {
    guard let messages = waiting else { return }
    room.stopWaiting(connection)
    (waiting, hasWaited) = (nil, true)
    for message in messages where connection.readyState == .open { received(message.message, from: connection) }
    connection.resumeReading()
  }

  override func received(_ message: Message, from connection: Connection) {
    // Events that were read together with the hello. Reading is paused.
    guard waiting == nil else { return waiting!.append(OwnedMessage(message)) }
    head = ClientEvent.Head()
    guard message.bytes.count <= maxBytes else {
      return sendError(ErrorEvent(.textTooLong, "event too long: at most \(maxBytes) bytes"), connection)
    }
    // The event is charged before it is parsed.
    let now = connection.loop.now
    let retryAfter = rate.takeIfAvailable(1, now: now).map { Int($0) }
    if retryAfter == nil { rate.take(message.bytes.count / RichConnection.bytesPerEvent, now: now) }
    guard message.kind == .text, let event = ClientEvent([UInt8](message), &head) else {
      return countMalformed(connection)
    }
    let isRoomValid = head.normalizeRoom(limit: connection.loop.maxPathLength)
    if let retryAfter {
      let text = "too many events"
      return sendError(ErrorEvent(.rateLimited, text, tag: event.tag, retryAfter: retryAfter), connection)
    }
    if case .hello(let hello) = event {
      head.room = nil
      guard member != nil || hasWaited || hasCaughtUp(with: hello, connection) else {
        return wait(with: message, connection)
      }
      return welcome(hello, connection)
    }
    if case .token(let token) = event {
      head.room = nil
      return renew(with: token, connection)
    }
    if case .unknown = event { return sendError(ErrorEvent(.unknownType, "unknown event type"), connection) }
    guard let member else {
      return sendError(ErrorEvent(.notIntroduced, "hello required", tag: event.tag), connection)
    }
    guard isRoomValid else {
      return sendError(ErrorEvent(.roomInvalid, "invalid room", tag: event.tag), connection)
    }
    if case .enter(let enter) = event { return self.enter(enter, head, connection) }
    if case .leave = event { return leave(head, connection) }
    guard let membership = membership(member, head.room) else {
      return sendError(ErrorEvent(.notEntered, "room not entered", tag: event.tag), connection)
    }
    switch event {
    case .hello, .token, .enter, .leave, .unknown: break
    case .say(let say): publish(say, membership, connection)
    case .typing: if allows(.say, in: membership, connection) { typing(membership, connection) }
    case .history(let request): history(request, membership, connection)
    case .rename(let rename): self.rename(rename, membership, connection)
    case .edit(let edit): change(.edit(of: edit.id), to: edit.text, membership, connection)
    case .remove(let remove): change(.removal(of: remove.id), to: nil, membership, connection)
    case .moderate(let event): moderate(event, membership, connection)
    }
  }

  /// Returns the client's membership of a room; nil if it is not in the room.
  private func membership(_ member: Member, _ name: String?) -> Membership? {
    guard let name, !name.isSame(as: room.name) else {
      return Membership(room: room, member: member, standing: standing)
    }
    guard let entered = entered[name], let member = entered.member else { return nil }
    return Membership(room: entered.room, member: member, standing: entered.standing, entered: entered)
  }

  /// Sends an error about the current event.
  func sendError(_ error: ErrorEvent, _ connection: Connection) { sendError(error, about: head, connection) }

  /// Sends an error about an event.
  func sendError(_ error: ErrorEvent, about head: ClientEvent.Head, _ connection: Connection) {
    errors.note(error.code)
    var error = error
    (error.ref, error.room) = (head.ref, head.room)
    connection.send(error)
  }

  override func inform(_ event: any ServerEvent, in room: ChatRoom, _ connection: Connection) {
    let json = event.json
    send(json[...], ofRoom: room.name, connection)
  }

  /// Sends an event of a room, unless the client has left it.
  func send(_ json: ArraySlice<UInt8>, ofRoom name: String, _ connection: Connection) {
    if let room = entered[name]?.room {
      connection.send(Message(.text, room.withRoom(json).span))
    } else if name.isSame(as: room.name) {
      connection.send(Message(.text, json.span))
    }
  }

  /// Charges the client's rate for a response.
  func charge(response count: Int, _ connection: Connection) {
    rate.take(count / RichConnection.responseBytesPerEvent, now: connection.loop.now)
  }

  private func hasCaughtUp(with hello: ClientEvent.Hello, _ connection: Connection) -> Bool {
    room.hasCaughtUp(with: hello, connection) { (connection.handlerState as? RichConnection)?.resume(connection) }
  }

  private func wait(with message: Message, _ connection: Connection) {
    waiting = [OwnedMessage(message)]
    connection.pauseReading()
    connection.loop.execute(after: ChatRoom.catchUpTimeout) {
      (connection.handlerState as? RichConnection)?.resume(connection)
    }
  }

  func countMalformed(_ connection: Connection, tag: String? = nil) {
    sendError(ErrorEvent(.malformed, "malformed event", tag: tag), connection)
    malformed += 1
    if malformed == RichConnection.maxMalformed {
      connection.close(.policyViolation, reason: "\(malformed) malformed events")
    }
  }

  /// The client's name in the room of the path; nil if another connection has replaced this one.
  func ownName(_ connection: Connection) -> Name? { member.flatMap { room.name(of: $0, connection) } }

  // MARK: Names

  private func welcome(_ given: ClientEvent.Hello, _ connection: Connection) {
    guard member == nil else {
      return sendError(ErrorEvent(.alreadyIntroduced, "hello already sent: use rename"), connection)
    }
    let hello: ClientEvent.Hello
    do throws(ErrorEvent) {
      hello = try admitted(given, to: room)
    } catch {
      sendError(error, connection)
      let reason = error.restriction?.reason
      return connection.close(.notAdmitted, reason: reason.map { "banned: \($0)" } ?? "banned")
    }
    guard let name = client?.name ?? Name(hello.name ?? "", limit: room.options.maxNameLength) else {
      return rejectName(connection)
    }
    do throws(ChatRoom.NameTaken) {
      guard
        let join = try room.welcome(hello, as: name, client, at: standing.address, connection, isEntered: false)
      else { return }
      (member, standing.guest) = (join.session.member, join.session.guest)
      checkAfterJoining(room, standing, connection)
    } catch {
      reject(error, connection)
    }
  }

  /// Informs the client that a verified user has taken over its name in a room, unless it has left the room or has
  /// another name by now.
  func wasDisplaced(_ name: Name, inRoom room: String, _ connection: Connection) {
    guard let membership = member.flatMap({ membership($0, room) }),
      membership.room.name(of: membership.member, connection) == name
    else { return }
    inform(RenamedEvent(name: name.text), in: membership.room, connection)
  }

  private func rename(_ rename: ClientEvent.Rename, _ membership: Membership, _ connection: Connection) {
    if let retryAfter = renameRate.takeIfAvailable(RichConnection.renameCost, now: connection.loop.now) {
      return sendError(ErrorEvent(.rateLimited, "too many renames", retryAfter: Int(retryAfter)), connection)
    }
    guard client?.name == nil else {
      return sendError(ErrorEvent(.forbidden, "the name is verified"), connection)
    }
    if rejectsAsMuted(in: membership, connection) { return }
    guard let name = Name(rename.name, limit: room.options.maxNameLength) else { return rejectName(connection) }
    do throws(ChatRoom.NameTaken) {
      try membership.room.rename(membership.member, to: name, connection)
    } catch {
      reject(error, connection)
    }
  }

  private func rejectName(_ connection: Connection) { sendError(nameInvalid, connection) }

  var nameInvalid: ErrorEvent {
    ErrorEvent(.nameInvalid, "invalid name: must have 1 to \(room.options.maxNameLength) visible characters")
  }

  private func reject(_ error: ChatRoom.NameTaken, _ connection: Connection) {
    sendError(ErrorEvent(.nameTaken, "name taken", proposal: error.proposal), connection)
  }

  // MARK: Admission

  override var asksForToken: Bool { true }

  /// Returns whether the client has a right and, for `say`, is not muted. If not, sends an error.
  func allows(
    _ right: Rights, in membership: Membership, _ connection: Connection, tag: String? = nil
  ) -> Bool {
    if may(right) { return right != .say || !rejectsAsMuted(in: membership, connection, tag: tag) }
    let text = right == .say ? "sending is not allowed" : "history is not allowed"
    sendError(ErrorEvent(.forbidden, text, tag: tag), connection)
    return false
  }

  private func renew(with token: String, _ connection: Connection) {
    guard let admitted else { return sendError(ErrorEvent(.forbidden, "the server takes no tokens"), connection) }
    guard !admitted.isRenewing else {
      let text = "a token is being checked"
      return sendError(ErrorEvent(.rateLimited, text, retryAfter: RichConnection.fullRetry), connection)
    }
    admitted.renew(with: token, connection) { [weak connection, head] error in
      guard let connection, let state = connection.handlerState as? RichConnection, let client = state.client else {
        return
      }
      guard let error else {
        return connection.send(AdmittedEvent(client.identity))
      }
      state.sendError(ErrorEvent(error.eventCode, error.message), about: head, connection)
    }
  }
}
