internal import Confab
internal import FoundationEssentials
internal import Synchronization

/// A room: what is said in it, in one order for everyone, and who is there.
///
/// A message gets its id, its time, and its place in the history and in both logs at once, under the room's lock. So what
/// readers of the plain protocol and those of the rich one see has one order, whichever event loop they are on. Each
/// form of a message is made once, and only if somebody reads it.
///
/// Any thread, but for connections: they are to be passed on their own loop's.
final class Room: Sendable {
  let name: String
  /// Says which numbering the ids of messages belong to: one who comes back may find another room of the same name.
  let epoch = String(UInt64.random(in: .min ... .max), radix: 36)
  let options: ChatOptions

  private let budget: HistoryBudget
  /// What readers of the plain protocol get.
  private let plainLog = BroadcastLog()
  /// What those of the rich one get who have a name.
  private let richLog = BroadcastLog()
  private let state: Mutex<State>

  private struct State {
    var history: History
    var people = People<Connection>()
    /// How many there are of the plain protocol.
    var plainCount = 0
    var presence = Presence()
    /// When the news of presence is to be told; nil when there is none.
    var presenceDue: ContinuousClock.Instant?

    var count: Int { people.count + plainCount }
  }

  init(name: String, options: ChatOptions, budget: HistoryBudget) {
    (self.name, self.options, self.budget) = (name, options, budget)
    state = Mutex(
      State(history: History(maxMessages: options.maxHistoryMessages, maxBytes: options.maxHistoryBytes)))
  }

  deinit { budget.add(-state.withLock { $0.history.bytes }) }

  /// Whether it has messages that somebody may ask for.
  var hasHistory: Bool { state.withLock { !$0.history.isEmpty } }

  /// Forgets old messages, so that `count` bytes are free again, or there are none left.
  func forget(_ count: Int) {
    state.withLock { state in tally(&state) { $0.history.forget(count) } }
  }

  /// Does something to the history, and keeps account of the memory.
  private func tally<Result>(_ state: inout State, _ body: (inout State) -> Result) -> Result {
    let bytes = state.history.bytes
    defer { budget.add(state.history.bytes - bytes) }
    return body(&state)
  }

  // MARK: The plain protocol

  /// Lets a connection of the plain protocol read what is said from now on.
  func admit(_ connection: Connection) {
    state.withLock { state in
      state.plainCount += 1
      connection.join(plainLog)
      countChanged(&state, connection.loop)
    }
  }

  /// Counts one of the plain protocol out.
  func leave(_ connection: Connection) {
    state.withLock { state in
      state.plainCount -= 1
      countChanged(&state, connection.loop)
    }
  }

  /// Says a message of the plain protocol to everyone, the sender included.
  func say(_ message: Message) {
    let forms = plainLog.forms(of: message)
    state.withLock { state in
      let at = WallClock.milliseconds
      let id = tally(&state) { $0.history.append(message, at: at) }
      plainLog.append(message, forms)
      if !state.people.isEmpty { richLog.append(MessageEvent(id: id, at: at, message)) }
    }
  }

  // MARK: The rich protocol

  /// What a person does when another connection has taken over: nothing.
  enum Outcome<Value> {
    case done(Value)
    case replaced
  }

  /// Lets somebody in by name, and sends the welcome; then the id of its session. What is said from then on follows it.
  func welcome(_ hello: ClientEvent.Hello, as name: Name, _ connection: Connection) throws(NameTaken) -> UInt64 {
    let entered = state.withLock { state -> Result<(session: Session, replaced: Connection?), NameTaken> in
      let session = hello.session.flatMap { Session($0) }
      guard let entry = state.people.enter(name, as: connection, session: session) else {
        return .failure(NameTaken(proposal: state.people.proposal(for: name)?.text))
      }
      connection.join(richLog)
      switch entry {
      case .new(let session):
        state.presence.changed(name)
        schedulePresence(&state, connection.loop)
        connection.send(welcomeEvent(hello, name, session, state))
        return .success((session, nil))
      case .tookOver(let session, let other, let old):
        if let old {
          state.presence.renamed(old, to: name)
          schedulePresence(&state, connection.loop)
        }
        connection.send(welcomeEvent(hello, name, session, state))
        return .success((session, other))
      }
    }
    let (session, replaced) = try entered.get()
    if let replaced {
      replaced.loop.execute { replaced.close(.replaced, reason: "replaced by another connection") }
    }
    return session.id
  }

  struct NameTaken: Error {
    let proposal: String?
  }

  private func welcomeEvent(
    _ hello: ClientEvent.Hello, _ name: Name, _ session: Session, _ state: borrowing State
  ) -> WelcomeEvent {
    let history = state.history
    let count = hello.history ?? options.newcomerMessages
    var page = (messages: history.page(before: .max, count: count).messages, more: false)
    var gap = false
    if let epoch = hello.epoch, let after = hello.after {
      gap = epoch != self.epoch || after < history.oldest - 1 || after > history.last
      if !gap { page = history.page(after: after, count: History.maxPage) }
    }
    return WelcomeEvent(
      room: self.name, name: name.text, session: session.text, epoch: epoch, last: history.last,
      oldest: history.oldest, people: state.people.names(WelcomeEvent.maxPeople), count: state.count,
      messages: page.messages, more: page.more, gap: gap,
      limits: .init(text: options.maxTextLength, rate: options.maxEventRate, burst: options.maxEventBurst))
  }

  /// Says something by the rich protocol to everyone, the sender included. When the room still has a message with the tag
  /// it is not said: the result is that message.
  func say(_ text: Text, tag: Tag, from id: UInt64, _ connection: Connection) -> Outcome<MessageEvent?> {
    state.withLock { state in
      guard let name = state.people.person(id, of: connection)?.name else { return .replaced }
      if let known = state.history.id(of: tag) { return .done(state.history.message(known)) }
      let at = WallClock.milliseconds
      let number = tally(&state) { $0.history.append(text, from: name, tag: tag, at: at) }
      if state.plainCount > 0 {
        let form = PlainProtocol.form(of: text, from: name, at: at)
        plainLog.append(Message(.text, form.span))
      }
      richLog.append(MessageEvent(id: number, at: at, from: name.text, tag: tag.text, text: text.text))
      return .done(nil)
    }
  }

  /// Tells everyone of the rich protocol that somebody is writing.
  func typing(_ id: UInt64, _ connection: Connection) {
    state.withLock { state in
      guard let name = state.people.person(id, of: connection)?.name else { return }
      richLog.append(TypingEvent(name: name.text))
    }
  }

  /// Gives somebody another name.
  func rename(_ id: UInt64, to name: Name, _ connection: Connection) throws(NameTaken) -> Outcome<Void> {
    try state.withLock { state -> Result<Outcome<Void>, NameTaken> in
      guard state.people.person(id, of: connection) != nil else { return .success(.replaced) }
      guard let old = state.people.rename(id, to: name) else {
        return .failure(NameTaken(proposal: state.people.proposal(for: name)?.text))
      }
      if old != name {
        state.presence.renamed(old, to: name)
        schedulePresence(&state, connection.loop)
      }
      return .success(.done(()))
    }.get()
  }

  /// A page of the history; nil when what is asked for has been forgotten.
  func page(_ request: ClientEvent.HistoryRequest) -> HistoryEvent? {
    state.withLock { state in
      let count = request.count ?? options.newcomerMessages
      if let after = request.after, after < state.history.oldest - 1 { return nil }
      let page =
        request.after.map { state.history.page(after: $0, count: count) }
        ?? state.history.page(before: request.before ?? .max, count: count)
      return HistoryEvent(
        messages: page.messages, oldest: state.history.oldest, before: request.before, after: request.after,
        more: page.more)
    }
  }

  /// Lets somebody go, if the connection still speaks for the person.
  func leave(_ id: UInt64, _ connection: Connection) {
    state.withLock { state in
      guard let name = state.people.leave(id, connection) else { return }
      state.presence.changed(name)
      schedulePresence(&state, connection.loop)
    }
  }

  // MARK: Presence

  private func countChanged(_ state: inout State, _ loop: EventLoop) {
    if state.people.isEmpty { return }
    state.presence.countChanged()
    schedulePresence(&state, loop)
  }

  /// At most so often news of presence is told.
  static let presenceInterval = Duration.milliseconds(200)

  /// Has the news told in a while, all that comes up until then at once.
  private func schedulePresence(_ state: inout State, _ loop: EventLoop) {
    let now = ContinuousClock.now
    // A loop may have ended before it did what it was to do.
    if let due = state.presenceDue, now < due + .seconds(1) { return }
    let isScheduled = loop.execute(after: Room.presenceInterval) { self.tellPresence(on: loop) }
    state.presenceDue = isScheduled ? now + Room.presenceInterval : nil
  }

  private func tellPresence(on loop: EventLoop) {
    state.withLock { state in
      state.presenceDue = nil
      if state.presence.hasNews && !state.people.isEmpty {
        let people = state.people
        richLog.append(state.presence.take(count: state.count) { people.isPresent($0) })
      } else {
        state.presence = Presence()
      }
      if state.presence.hasNews { schedulePresence(&state, loop) }
    }
  }
}

extension BroadcastLog {
  func append(_ event: some ServerEvent) {
    let json = event.json
    append(Message(.text, json.span))
  }
}

extension Connection {
  func send(_ event: some ServerEvent) {
    let json = event.json
    send(Message(.text, json.span))
  }
}
