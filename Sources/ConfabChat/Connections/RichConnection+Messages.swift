internal import Confab

// The events about the messages of a room.

extension RichConnection {
  /// A client in one of its rooms.
  struct Membership {
    let room: ChatRoom
    let member: Member
    let standing: Standing
    /// Nil for the room of the path.
    var entered: EnteredRoom?
  }

  func publish(_ say: ClientEvent.Say, _ membership: Membership, _ connection: Connection) {
    guard let text = say.text, say.tag != nil else { return countMalformed(connection, tag: say.tag) }
    guard let tag = say.tag.flatMap({ Tag($0) }) else {
      let text = "invalid tag: must have 1 to \(Tag.maxLength) ASCII letters, digits, - and _"
      return sendError(ErrorEvent(.tagInvalid, text, tag: say.tag), connection)
    }
    guard allows(.say, in: membership, connection, tag: tag.text) else { return }
    if rejectsAsExhausted(connection, tag: tag) { return }
    guard let text = checked(text, tag, connection) else { return }
    if let json = membership.room.publish(text, tag: tag, from: membership.member, connection, quota) {
      send(json, ofRoom: membership.room.name, connection)
    }
  }

  /// Returns the text if it is valid. Otherwise sends an error and returns nil.
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

  func change(_ entry: EntryKind, to text: String?, _ membership: Membership, _ connection: Connection) {
    var checkedText: Text?
    if let text {
      checkedText = checked(text, nil, connection)
      if checkedText == nil { return }
    }
    let isModerator = text == nil && client?.rights.contains(.moderate) ?? false
    // A muted client may remove its messages.
    guard isModerator || text == nil && may(.say) || allows(.say, in: membership, connection) else { return }
    if rejectsAsExhausted(connection) { return }
    let (room, member) = (membership.room, membership.member)
    switch room.publish(entry, checkedText, by: member, isModerator: isModerator, connection, quota) {
    case nil: break
    case .notStored: sendError(ErrorEvent(.historyGone, "message no longer stored"), connection)
    case .notAllowed: sendError(ErrorEvent(.forbidden, "message of another member"), connection)
    case .tooLate: sendError(ErrorEvent(.forbidden, "message too old to be changed"), connection)
    }
  }

  /// Returns whether too many messages are pending. If so, sends an error.
  private func rejectsAsExhausted(_ connection: Connection, tag: Tag? = nil) -> Bool {
    guard let quota, quota.isExhausted else { return false }
    let text = "too many messages are waiting"
    sendError(ErrorEvent(.rateLimited, text, tag: tag?.text, retryAfter: RichConnection.fullRetry), connection)
    return true
  }

  /// Handles that the engine has rejected a text of this connection.
  func rejected(_ tag: String, inRoom name: String, _ connection: Connection) {
    let head = ClientEvent.Head(room: name.isSame(as: room.name) ? nil : name)
    sendError(ErrorEvent(.textTooLong, "text too long for the broker", tag: tag), about: head, connection)
  }

  func typing(_ membership: Membership, _ connection: Connection) {
    let now = ContinuousClock.now
    let last = membership.entered.map { $0.typedAt } ?? typedAt
    if let last, now - last < RichConnection.typingInterval { return }
    if let entered = membership.entered { entered.typedAt = now } else { typedAt = now }
    membership.room.typing(membership.member, connection)
  }

  func history(_ request: ClientEvent.HistoryRequest, _ membership: Membership, _ connection: Connection) {
    guard (request.before == nil) != (request.after == nil) else { return countMalformed(connection) }
    guard allows(.history, in: membership, connection) else { return }
    guard let page = membership.room.page(request) else {
      return sendError(ErrorEvent(.historyGone, "messages no longer stored"), connection)
    }
    let json = page.json
    send(json[...], ofRoom: membership.room.name, connection)
    charge(response: json.count, connection)
  }
}
