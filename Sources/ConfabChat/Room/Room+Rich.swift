internal import Confab
internal import Synchronization

// The rich protocol: the operations of its connections in a room.
//
// Events from a replaced connection are ignored; it is about to be closed.

extension Room {
  /// Maximum time that a client waits for messages that it has and the room does not have yet.
  static let patience = Duration.seconds(5)

  /// Whether the room has all messages that a client has. If not, the connection's ``RichProtocol`` is notified when it
  /// does: the client's previous server may be ahead of this one.
  func hasCaughtUp(with hello: ClientEvent.Hello, _ connection: Connection) -> Bool {
    state.withLock { state in
      guard let after = hello.after, hello.epoch == state.epoch, after > state.history.last else { return true }
      state.ahead.append((after, connection))
      return false
    }
  }

  /// Stops the connection's waiting for messages.
  func stopWaiting(_ connection: Connection) { state.withLock { $0.ahead.removeAll { $0.connection === connection } } }

  /// Continues the handshake of waiting connections whose messages the room has, or will never have.
  func welcomeAhead(_ state: inout State, all: Bool = false) {
    if state.ahead.isEmpty { return }
    let last = state.history.last
    state.ahead.removeAll { after, connection in
      guard all || after <= last else { return false }
      connection.loop.execute { (connection.context as? RichProtocol)?.goOn(connection) }
      return true
    }
  }

  /// Adds a client by name and sends the welcome; messages appended afterwards follow it. Nil if a newer connection has
  /// the client's session: a hello that waited may be handled after that of its replacement.
  func welcome(_ hello: ClientEvent.Hello, as name: Name, _ connection: Connection) throws(NameTaken) -> Member? {
    let session = hello.session.flatMap { Session($0, in: self.name) }
    let entry = try state.withLock { state throws(NameTaken) -> People<Connection>.Entry? in
      if let session, let other = state.people.connection(of: session), other.id > connection.id { return nil }
      guard let entry = state.people.enter(name, as: connection, session: session) else {
        throw NameTaken(proposal: state.people.proposal(for: name)?.text)
      }
      attendanceChanged(&state)
      expire(&state)
      connection.join(richLog)
      connection.send(welcomeEvent(hello, name, entry.session, state))
      if !state.isAvailable { connection.send(AvailabilityEvent(available: false)) }
      if let old = entry.renamed { state.presence.renamed(old, to: name) }
      if !entry.isKnown { state.presence.changed(name) }
      schedulePresence(&state, connection.loop)
      return entry
    }
    guard let entry else {
      connection.giveWay()
      return nil
    }
    entry.replaced?.giveWay()
    return entry.session.member
  }

  struct NameTaken: Error {
    let proposal: String?
  }

  private func welcomeEvent(
    _ hello: ClientEvent.Hello, _ name: Name, _ session: Session, _ state: borrowing State
  ) -> WelcomeEvent {
    let (messages, more, gap) = missed(hello, state.epoch, state.history)
    return WelcomeEvent(
      room: self.name, name: name.text, member: session.member, session: session.text, epoch: state.epoch,
      last: state.history.last, oldest: state.history.oldest, people: state.people.names(WelcomeEvent.maxPeople),
      count: state.count,
      messages: messages, more: more, gap: gap,
      limits: .init(
        text: options.maxTextLength, name: options.maxNameLength, rate: options.maxEventRate,
        burst: options.maxEventBurst))
  }

  /// Returns the messages that a returning client has missed. For other clients, or if those are dropped, returns the
  /// newest messages.
  private func missed(
    _ hello: ClientEvent.Hello, _ current: String, _ history: History
  ) -> (messages: [ArraySlice<UInt8>], more: Bool, gap: Bool) {
    let newest = { history.page(before: .max, count: hello.history ?? self.options.newcomerMessages).messages }
    guard let epoch = hello.epoch, let after = hello.after else { return (newest(), false, false) }
    guard epoch == current && after <= history.last && history.isWhole(after: after) else {
      return (newest(), false, true)
    }
    let page = history.page(after: after, count: History.maxPage)
    return (page.messages, page.more, false)
  }

  /// Publishes a message of the rich protocol to all members, including the sender. If the room still has a message of
  /// the member with the tag, returns that message instead.
  func say(
    _ text: Text, tag: Tag, from member: Member, _ connection: Connection, _ sender: Sender?
  ) -> ArraySlice<UInt8>? {
    let bytes = Array(text.text.utf8)
    let (known, waits) = state.withLock { state -> (ArraySlice<UInt8>?, Bool) in
      guard let name = state.people.person(member, of: connection)?.name.text else { return (nil, false) }
      if let known = state.history.message(with: tag, of: member) { return (known, false) }
      // The message is sent when it gets its offset.
      let key = MemberTag(member: member, tag: tag.text)
      guard state.waitingTags.updateValue(connection, forKey: key) == nil else { return (nil, false) }
      let post = { Post(kind: .text, bytes: bytes, name: name, member: member, tag: tag.text) }
      guard let place = state.order?.place(post, from: sender) else { return (nil, true) }
      append(Message(.text, bytes.span), name: name, member: member, tag: tag.text, at: place, nil, &state)
      return (nil, false)
    }
    if waits { sender?.began(bytes.count) }
    keepWithinBudget()
    return known
  }

  /// Informs all members of the rich protocol that a user is typing.
  func typing(_ member: Member, _ connection: Connection) {
    state.withLock { state in
      guard let name = state.people.person(member, of: connection)?.name else { return }
      richLog.append(TypingEvent(name: name.text))
      state.order?.typing(name.text)
    }
  }

  /// Renames a member, and confirms that to its connection.
  func rename(_ member: Member, to name: Name, _ connection: Connection) throws(NameTaken) {
    try state.withLock { state throws(NameTaken) in
      guard state.people.person(member, of: connection) != nil else { return }
      guard let old = state.people.rename(member, to: name) else {
        throw NameTaken(proposal: state.people.proposal(for: name)?.text)
      }
      connection.send(RenamedEvent(name: name.text))
      if old == name { return }
      attendanceChanged(&state)
      state.presence.renamed(old, to: name)
      schedulePresence(&state, connection.loop)
    }
  }

  /// Returns a page of the history; nil if the requested messages have been dropped.
  func page(_ request: ClientEvent.HistoryRequest) -> HistoryEvent? {
    state.withLock { state in
      expire(&state)
      let count = request.count ?? options.newcomerMessages
      if let after = request.after, !state.history.isWhole(after: after) { return nil }
      let page =
        request.after.map { state.history.page(after: $0, count: count) }
        ?? state.history.page(before: request.before ?? .max, count: count)
      return HistoryEvent(
        messages: page.messages, oldest: state.history.oldest, before: request.before, after: request.after,
        more: page.more)
    }
  }

  /// Removes a member, unless the connection has been replaced.
  func leave(_ member: Member, _ connection: Connection) {
    state.withLock { state in
      guard let name = state.people.leave(member, connection) else { return }
      attendanceChanged(&state)
      state.presence.changed(name)
      schedulePresence(&state, connection.loop)
    }
  }
}
