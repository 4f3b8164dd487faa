internal import Confab
internal import Synchronization

// The rich protocol: what its connections do in a room.
//
// What somebody does whom another connection has taken over comes to nothing: that connection is about to be closed.

extension Room {
  /// How long a client that has heard more than the room has waits for that.
  static let patience = Duration.seconds(5)

  /// Whether the room has all that a client has heard. Otherwise the connection's ``RichProtocol`` is told when that is so:
  /// another server, which it was at, may be ahead of this one.
  func hasCaughtUp(with hello: ClientEvent.Hello, _ connection: Connection) -> Bool {
    state.withLock { state in
      guard let after = hello.after, hello.epoch == state.epoch, after > state.history.last else { return true }
      state.ahead.append((after, connection))
      return false
    }
  }

  /// The connection does not wait any more.
  func stopWaiting(_ connection: Connection) { state.withLock { $0.ahead.removeAll { $0.connection === connection } } }

  /// Has connections welcomed that have heard no more than the room has, or that have heard what it never will have.
  func welcomeAhead(_ state: inout State, all: Bool = false) {
    if state.ahead.isEmpty { return }
    let last = state.history.last
    state.ahead.removeAll { after, connection in
      guard all || after <= last else { return false }
      connection.loop.execute { (connection.context as? RichProtocol)?.goOn(connection) }
      return true
    }
  }

  /// Lets a client in by name, and sends the welcome: messages appended from then on follow it. Nil if a newer connection
  /// has the client's session: a hello that had to wait may be handled after that of the connection that replaced its own.
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

  /// What somebody who comes back has missed. For others, or when that is not there any more, the newest messages.
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

  /// Says something by the rich protocol to everyone, the sender included. When the room still has a message of
  /// the member with the tag it is not said: the result is that message.
  func say(
    _ text: Text, tag: Tag, from member: Member, _ connection: Connection, _ sender: Sender?
  ) -> ArraySlice<UInt8>? {
    let bytes = Array(text.text.utf8)
    let (known, waits) = state.withLock { state -> (ArraySlice<UInt8>?, Bool) in
      guard let name = state.people.person(member, of: connection)?.name.text else { return (nil, false) }
      if let known = state.history.message(with: tag, of: member) { return (known, false) }
      // It comes when it has its place.
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

  /// Tells everyone of the rich protocol that somebody is writing.
  func typing(_ member: Member, _ connection: Connection) {
    state.withLock { state in
      guard let name = state.people.person(member, of: connection)?.name else { return }
      richLog.append(TypingEvent(name: name.text))
      state.order?.typing(name.text)
    }
  }

  /// Gives somebody another name, and says so to the one who has asked for it.
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

  /// A page of the history; nil when what is asked for has been forgotten.
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

  /// Lets somebody go, if the connection still speaks for the person.
  func leave(_ member: Member, _ connection: Connection) {
    state.withLock { state in
      guard let name = state.people.leave(member, connection) else { return }
      attendanceChanged(&state)
      state.presence.changed(name)
      schedulePresence(&state, connection.loop)
    }
  }
}
