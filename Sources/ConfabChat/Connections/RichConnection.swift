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
  /// Tokens of a rename: the limit is per minute, that of the bucket per second.
  private static let renameCost = 60

  /// Delay in ms after which a client should retry while too many messages are pending.
  private static let fullRetry = 1000

  /// Nil if the engine is not shared.
  private let quota: PublisherQuota?
  private let errors: ErrorCounts
  /// The hello and the events after it, while the room does not have all messages that the client has; otherwise nil.
  private var waiting: [OwnedMessage]?
  /// Whether the connection has waited for the room. It does so once.
  private var hasWaited = false
  /// The client's member, after the welcome.
  private var member: Member?
  private var rate: TokenBucket
  private var renameRate: TokenBucket
  private let maxBytes: Int
  private var malformed = 0
  /// `ref` of the current event, for errors about it.
  private(set) var ref: String?
  private var typedAt: ContinuousClock.Instant?

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
  }

  /// Continues after the room has caught up, or after the maximum waiting time.
  func resume(_ connection: Connection) {
    guard let messages = waiting else { return }
    room.stopWaiting(connection)
    (waiting, hasWaited) = (nil, true)
    for message in messages { received(message.message, from: connection) }
    connection.resumeReading()
  }

  override func received(_ message: Message, from connection: Connection) {
    // Events that were read together with the hello. Reading is paused.
    guard waiting == nil else { return waiting!.append(OwnedMessage(message)) }
    ref = nil
    guard message.bytes.count <= maxBytes else {
      return sendError(ErrorEvent(.textTooLong, "event too long: at most \(maxBytes) bytes"), connection)
    }
    // Charged before it is parsed.
    let now = connection.loop.now
    let retryAfter = rate.takeIfAvailable(1, now: now).map { Int($0) }
    if retryAfter == nil { rate.take(message.bytes.count / RichConnection.bytesPerEvent, now: now) }
    guard message.kind == .text, let event = ClientEvent([UInt8](message), ref: &ref) else {
      return countMalformed(connection)
    }
    if let retryAfter {
      let text = "too many events"
      return sendError(ErrorEvent(.rateLimited, text, tag: event.tag, retryAfter: retryAfter), connection)
    }
    if case .hello(let hello) = event {
      guard member != nil || hasWaited || room.hasCaughtUp(with: hello, connection) else {
        return wait(with: message, connection)
      }
      return welcome(hello, connection)
    }
    if case .token(let token) = event { return renew(with: token, connection) }
    if case .unknown = event { return sendError(ErrorEvent(.unknownType, "unknown event type"), connection) }
    guard let member else {
      return sendError(ErrorEvent(.notIntroduced, "hello required", tag: event.tag), connection)
    }
    switch event {
    case .hello, .token, .unknown: break
    case .say(let say): publish(say, member, connection)
    case .typing: if allows(.say, connection) { typing(member, connection) }
    case .history(let request): history(request, connection)
    case .rename(let rename): self.rename(rename, member, connection)
    case .edit(let edit): change(.edit(of: edit.id), to: edit.text, member, connection)
    case .remove(let remove): change(.removal(of: remove.id), to: nil, member, connection)
    case .moderate(let event): moderate(event, by: member, connection)
    }
  }

  func sendError(_ error: ErrorEvent, _ connection: Connection) { sendError(error, ref: ref, connection) }

  func sendError(_ error: ErrorEvent, ref: String?, _ connection: Connection) {
    errors.note(error.code)
    var error = error
    error.ref = ref
    connection.send(error)
  }

  override func inform(_ event: any ServerEvent, _ connection: Connection) { connection.send(event) }

  /// Charges the client's rate for a response.
  func charge(response count: Int, _ connection: Connection) {
    rate.take(count / RichConnection.responseBytesPerEvent, now: connection.loop.now)
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

  // MARK: Names

  private func welcome(_ hello: ClientEvent.Hello, _ connection: Connection) {
    guard member == nil else {
      return sendError(ErrorEvent(.alreadyIntroduced, "hello already sent: use rename"), connection)
    }
    guard let hello = admitted(hello, connection) else { return }
    guard let name = client?.name ?? Name(hello.name ?? "", limit: room.options.maxNameLength) else {
      return rejectName(connection)
    }
    do throws(ChatRoom.NameTaken) {
      guard let session = try room.welcome(hello, as: name, client, at: standing.address, connection) else { return }
      (member, standing.guest) = (session.member, session.guest)
      checkAfterJoining(connection)
    } catch {
      reject(error, connection)
    }
  }

  private func rename(_ rename: ClientEvent.Rename, _ member: Member, _ connection: Connection) {
    if let retryAfter = renameRate.takeIfAvailable(RichConnection.renameCost, now: connection.loop.now) {
      return sendError(ErrorEvent(.rateLimited, "too many renames", retryAfter: Int(retryAfter)), connection)
    }
    guard client?.name == nil else {
      return sendError(ErrorEvent(.forbidden, "the name is verified"), connection)
    }
    if rejectsAsMuted(connection) { return }
    guard let name = Name(rename.name, limit: room.options.maxNameLength) else { return rejectName(connection) }
    do throws(ChatRoom.NameTaken) {
      try room.rename(member, to: name, connection)
    } catch {
      reject(error, connection)
    }
  }

  private func rejectName(_ connection: Connection) {
    let text = "invalid name: must have 1 to \(room.options.maxNameLength) visible characters"
    sendError(ErrorEvent(.nameInvalid, text), connection)
  }

  private func reject(_ error: ChatRoom.NameTaken, _ connection: Connection) {
    sendError(ErrorEvent(.nameTaken, "name taken", proposal: error.proposal), connection)
  }

  // MARK: Admission

  override var asksForToken: Bool { true }

  /// Whether the client may do this. Otherwise it gets an error.
  private func allows(_ right: Rights, _ connection: Connection, tag: String? = nil) -> Bool {
    if may(right) { return right != .say || !rejectsAsMuted(connection, tag: tag) }
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
    admitted.renew(with: token, connection) { [weak connection, ref] error in
      guard let connection, let state = connection.handlerState as? RichConnection, let client = state.client else {
        return
      }
      guard let error else { return connection.send(AdmittedEvent(client.identity)) }
      state.ref = ref
      state.sendError(ErrorEvent(error.eventCode, error.message), connection)
    }
  }

  // MARK: Messages

  private func publish(_ say: ClientEvent.Say, _ member: Member, _ connection: Connection) {
    guard let text = say.text, say.tag != nil else { return countMalformed(connection, tag: say.tag) }
    guard let tag = say.tag.flatMap({ Tag($0) }) else {
      let text = "invalid tag: must have 1 to \(Tag.maxLength) ASCII letters, digits, - and _"
      return sendError(ErrorEvent(.tagInvalid, text, tag: say.tag), connection)
    }
    guard allows(.say, connection, tag: tag.text) else { return }
    if rejectsAsExhausted(connection, tag: tag) { return }
    guard let text = checked(text, tag, connection) else { return }
    if let json = room.publish(text, tag: tag, from: member, connection, quota) {
      connection.send(Message(.text, json.span))
    }
  }

  /// Returns a text that is valid. Otherwise sends an error and returns nil.
  private func checked(_ text: String, _ tag: Tag? = nil, _ connection: Connection) -> Text? {
    do throws(Text.Invalid) {
      return try Text(text, limit: room.options.maxTextLength)
    } catch {
      switch error {
      case .empty: sendError(ErrorEvent(.textEmpty, "empty text", tag: tag?.text), connection)
      case .tooLong:
        let text = "text too long: at most \(room.options.maxTextLength) characters"
        sendError(ErrorEvent(.textTooLong, text, tag: tag?.text), connection)
      }
      return nil
    }
  }

  private func change(_ entry: EntryKind, to text: String?, _ member: Member, _ connection: Connection) {
    var checkedText: Text?
    if let text {
      checkedText = checked(text, nil, connection)
      if checkedText == nil { return }
    }
    let isModerator = text == nil && client?.rights.contains(.moderate) ?? false
    // A muted client may remove its messages.
    guard isModerator || text == nil && may(.say) || allows(.say, connection) else { return }
    if rejectsAsExhausted(connection) { return }
    switch room.publish(entry, checkedText, by: member, isModerator: isModerator, connection, quota) {
    case nil: break
    case .notStored: sendError(ErrorEvent(.historyGone, "message no longer stored"), connection)
    case .notAllowed: sendError(ErrorEvent(.forbidden, "message of another member"), connection)
    case .tooLate: sendError(ErrorEvent(.forbidden, "message too old to be changed"), connection)
    }
  }

  /// Rejects an event because too many messages are pending, if so. Returns whether they are.
  private func rejectsAsExhausted(_ connection: Connection, tag: Tag? = nil) -> Bool {
    guard let quota, quota.isExhausted else { return false }
    let text = "too many messages are waiting"
    sendError(ErrorEvent(.rateLimited, text, tag: tag?.text, retryAfter: RichConnection.fullRetry), connection)
    return true
  }

  /// Handles that the engine has rejected a text of this connection.
  func rejected(_ tag: String, _ connection: Connection) {
    ref = nil
    sendError(ErrorEvent(.textTooLong, "text too long for the broker", tag: tag), connection)
  }

  private func typing(_ member: Member, _ connection: Connection) {
    let now = ContinuousClock.now
    if let typedAt, now - typedAt < RichConnection.typingInterval { return }
    typedAt = now
    room.typing(member, connection)
  }

  private func history(_ request: ClientEvent.HistoryRequest, _ connection: Connection) {
    guard (request.before == nil) != (request.after == nil) else { return countMalformed(connection) }
    guard allows(.history, connection) else { return }
    guard let page = room.page(request) else {
      return sendError(ErrorEvent(.historyGone, "messages no longer stored"), connection)
    }
    let json = page.json
    connection.send(Message(.text, json.span))
    charge(response: json.count, connection)
  }
}
