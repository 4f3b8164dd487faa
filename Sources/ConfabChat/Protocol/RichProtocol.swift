internal import Confab

/// One connection of the rich protocol, `chat.confab.v1`. It handles the client's events, see Protocol.md in this
/// module's documentation. Loop thread only.
final class RichProtocol {
  /// Number of malformed events after which a connection is closed with 1008.
  static let maxMalformed = 10
  /// Minimum interval between typing events of one client. The server ignores the others.
  static let typingInterval = Duration.seconds(2)
  /// Event size for which one more event is charged.
  static let bytesPerEvent = 16 << 10
  /// Response size for which one more event is charged.
  static let answerBytesPerEvent = 32 << 10
  /// Maximum number of renames at once, see ``ChatOptions/maxRenameRate``.
  static let renameBurst = 10

  /// Delay in ms after which a client should retry while too many messages are pending.
  private static let fullRetry = 1000

  private let visit: Visit
  private var room: Room { visit.room }
  private let sender: Sender?
  private let errors: ErrorCounts
  /// The hello and the events after it, while the room does not have all messages that the client has; otherwise nil.
  private var waiting: [OwnedMessage]?
  /// Whether the connection has waited for the room. It does so once.
  private var hasWaited = false
  /// The client's member, after the welcome.
  private var member: Member?
  private var rate: EventRate
  private var renameRate: EventRate
  private let maxBytes: Int
  private var malformed = 0
  /// `ref` of the current event, for errors about it.
  private var ref: String?
  private var typedAt: ContinuousClock.Instant?

  init(_ visit: Visit, _ sender: Sender?, _ errors: ErrorCounts) {
    (self.visit, self.sender, self.errors) = (visit, sender, errors)
    maxBytes = ClientEvent.maxBytes(textLimit: visit.room.options.maxTextLength)
    let now = ContinuousClock.now
    rate = EventRate(rate: visit.room.options.maxEventRate, burst: visit.room.options.maxEventBurst, now: now)
    renameRate = EventRate(
      rate: visit.room.options.maxRenameRate, per: .seconds(60), burst: RichProtocol.renameBurst, now: now)
  }

  /// Handles the end of the connection.
  func left(_ connection: Connection) {
    if waiting != nil { room.stopWaiting(connection) }
    if let member { room.leave(member, connection) }
  }

  /// Continues after the room has caught up, or after the maximum waiting time.
  func goOn(_ connection: Connection) {
    guard let messages = waiting else { return }
    room.stopWaiting(connection)
    (waiting, hasWaited) = (nil, true)
    for message in messages { received(message.message, from: connection) }
    connection.resumeReading()
  }

  func received(_ message: Message, from connection: Connection) {
    // Events that were read together with the hello. Reading is paused.
    guard waiting == nil else { return waiting!.append(OwnedMessage(message)) }
    ref = nil
    guard message.bytes.count <= maxBytes else {
      return tell(connection, ErrorEvent(.textTooLong, "event too long: at most \(maxBytes) bytes"))
    }
    // Charged before it is parsed.
    let retryAfter = rate.take(now: .now)
    if retryAfter == nil { rate.charge(message.bytes.count / RichProtocol.bytesPerEvent) }
    guard message.kind == .text, let event = ClientEvent([UInt8](message), ref: &ref) else {
      return countMalformed(connection)
    }
    if let retryAfter {
      let text = "too many events"
      return tell(connection, ErrorEvent(.rateLimited, text, tag: event.tag, retryAfter: retryAfter))
    }
    if case .hello(let hello) = event {
      guard member != nil || hasWaited || room.hasCaughtUp(with: hello, connection) else {
        return wait(with: message, connection)
      }
      return introduce(hello, connection)
    }
    if case .unknown = event { return tell(connection, ErrorEvent(.unknownType, "unknown event type")) }
    guard let member else {
      return tell(connection, ErrorEvent(.notIntroduced, "hello required", tag: event.tag))
    }
    switch event {
    case .hello, .unknown: break
    case .say(let say): self.say(say, member, connection)
    case .typing: typing(member, connection)
    case .history(let request): history(request, connection)
    case .rename(let rename): self.rename(rename, member, connection)
    }
  }

  private func tell(_ connection: Connection, _ error: ErrorEvent) {
    errors.note(error.code)
    var error = error
    error.ref = ref
    connection.send(error)
  }

  private func wait(with message: Message, _ connection: Connection) {
    waiting = [OwnedMessage(message)]
    connection.pauseReading()
    connection.loop.execute(after: Room.patience) { (connection.context as? RichProtocol)?.goOn(connection) }
  }

  private func countMalformed(_ connection: Connection, tag: String? = nil) {
    tell(connection, ErrorEvent(.malformed, "malformed event", tag: tag))
    malformed += 1
    if malformed == RichProtocol.maxMalformed {
      connection.close(.policyViolation, reason: "\(malformed) malformed events")
    }
  }

  // MARK: Names

  private func introduce(_ hello: ClientEvent.Hello, _ connection: Connection) {
    guard member == nil else {
      return tell(connection, ErrorEvent(.alreadyIntroduced, "hello already sent: use rename"))
    }
    guard let name = Name(hello.name, limit: room.options.maxNameLength) else { return refuseName(connection) }
    do throws(Room.NameTaken) {
      member = try room.welcome(hello, as: name, connection)
    } catch {
      refuse(error, connection)
    }
  }

  private func rename(_ rename: ClientEvent.Rename, _ member: Member, _ connection: Connection) {
    if let retryAfter = renameRate.take(now: .now) {
      return tell(connection, ErrorEvent(.rateLimited, "too many renames", retryAfter: retryAfter))
    }
    guard let name = Name(rename.name, limit: room.options.maxNameLength) else { return refuseName(connection) }
    do throws(Room.NameTaken) {
      try room.rename(member, to: name, connection)
    } catch {
      refuse(error, connection)
    }
  }

  private func refuseName(_ connection: Connection) {
    let text = "invalid name: must have 1 to \(room.options.maxNameLength) visible characters"
    tell(connection, ErrorEvent(.nameInvalid, text))
  }

  private func refuse(_ error: Room.NameTaken, _ connection: Connection) {
    tell(connection, ErrorEvent(.nameTaken, "name taken", proposal: error.proposal))
  }

  // MARK: Messages

  private func say(_ say: ClientEvent.Say, _ member: Member, _ connection: Connection) {
    guard let text = say.text, say.tag != nil else { return countMalformed(connection, tag: say.tag) }
    guard let tag = say.tag.flatMap({ Tag($0) }) else {
      let text = "invalid tag: must have 1 to \(Tag.maxLength) ASCII letters, digits, - and _"
      return tell(connection, ErrorEvent(.tagInvalid, text, tag: say.tag))
    }
    if let sender, sender.isRefused {
      let text = "too many messages are waiting"
      return tell(connection, ErrorEvent(.rateLimited, text, tag: tag.text, retryAfter: RichProtocol.fullRetry))
    }
    do throws(Text.Refusal) {
      let text = try Text(text, limit: room.options.maxTextLength)
      if let known = room.say(text, tag: tag, from: member, connection, sender) {
        connection.send(Message(.text, known.span))
      }
    } catch {
      switch error {
      case .empty: tell(connection, ErrorEvent(.textEmpty, "empty text", tag: tag.text))
      case .tooLong:
        let text = "text too long: at most \(room.options.maxTextLength) characters"
        tell(connection, ErrorEvent(.textTooLong, text, tag: tag.text))
      }
    }
  }

  /// Handles that the engine has rejected a text of this connection.
  func refused(_ tag: String, _ connection: Connection) {
    ref = nil
    tell(connection, ErrorEvent(.textTooLong, "text too long for the broker", tag: tag))
  }

  private func typing(_ member: Member, _ connection: Connection) {
    let now = ContinuousClock.now
    if let typedAt, now - typedAt < RichProtocol.typingInterval { return }
    typedAt = now
    room.typing(member, connection)
  }

  private func history(_ request: ClientEvent.HistoryRequest, _ connection: Connection) {
    guard (request.before == nil) != (request.after == nil) else { return countMalformed(connection) }
    guard let page = room.page(request) else {
      return tell(connection, ErrorEvent(.historyGone, "messages no longer stored"))
    }
    let json = page.json
    connection.send(Message(.text, json.span))
    rate.charge(json.count / RichProtocol.answerBytesPerEvent)
  }
}
