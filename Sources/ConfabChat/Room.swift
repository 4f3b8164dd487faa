internal import Confab
internal import FoundationEssentials
internal import Synchronization

/// A room: what is said in it, in one order for everyone, and who is there.
///
/// A message gets its place from the room's ``RoomOrder``, under the room's lock, and then its place in the history and in
/// both logs at once: there, or in ``placed(_:)`` if the engine takes longer. So what readers of the plain protocol and
/// those of the rich one see has one order, whichever event loop they are on. Each form of a message is made once, and
/// only if somebody reads it.
///
/// Any thread, but for connections: they are to be passed on their own loop's.
final class Room: Sendable {
  let name: String
  let options: ChatOptions

  private let budget: HistoryBudget
  /// What readers of the plain protocol get.
  private let plainLog = BroadcastLog()
  /// What those of the rich one get who have a name.
  private let richLog = BroadcastLog()
  private let state: Mutex<State>

  private struct State {
    /// Where messages get their places; nil while the room is being made.
    var order: (any RoomOrder)?
    /// Whether there is one to ask for messages' places. Otherwise there is no history, and nobody of the rich protocol.
    var isRecorded: Bool
    /// What is to be done when the engine has opened the room; nil when it has.
    var unopened: Unopened? = Unopened()
    var isAvailable = true
    /// Says which numbering the ids of messages belong to: one who comes back may find another room of the same name.
    var epoch = ""
    var history: History
    /// The tags of messages that wait for their place, and who has said them last.
    var waitingTags: [String: Connection] = [:]
    var people = People<Connection>()
    /// How many there are of the plain protocol.
    var plainCount = 0
    var presence = Presence()
    /// When the news of presence is to be told; nil when there is none.
    var presenceDue: ContinuousClock.Instant?
    /// Rises when somebody comes, goes or changes the name.
    var attendanceVersion = 0

    var count: Int { people.count + plainCount + people.otherCount }
  }

  private struct Unopened {
    var posts: [(post: Post, sender: Sender?)] = []
    /// Those of the rich protocol who want to be let in.
    var connections: [Connection] = []
  }

  init(name: String, options: ChatOptions, budget: HistoryBudget, engine: any Engine) {
    (self.name, self.options, self.budget) = (name, options, budget)
    let history = History(maxMessages: options.maxHistoryMessages, maxBytes: options.maxHistoryBytes)
    state = Mutex(State(isRecorded: engine.isShared, isAvailable: engine.isAvailable, history: history))
    let order = engine.open(name, self)
    state.withLock { $0.order = order }
  }

  deinit { budget.add(-state.withLock { $0.history.bytes }) }

  /// Gives the room up: nobody is in it, and nobody can come any more.
  func close() {
    let (order, unopened) = state.withLock { state in
      let unopened = state.unopened
      state.unopened?.posts = []
      return (state.order, unopened)
    }
    // Who has said something and left before the room was open is heard, too.
    for (post, sender) in unopened?.posts ?? [] { _ = order?.place({ post }, from: sender) }
    order?.close()
  }

  /// Keeps history from now on: somebody speaks the rich protocol.
  func record() { state.withLock { $0.isRecorded = true } }

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

  /// Forgets what is too old.
  private func expire(_ state: inout State) {
    let age = options.maxHistoryAge
    if age > .zero {
      tally(&state) { $0.history.forget(olderThan: WallClock.milliseconds - age.components.seconds * 1000) }
    }
  }

  // MARK: The order

  /// Asks for a message's place; nil means that it waits, and comes by ``placed(_:)``.
  private func place(_ state: inout State, from sender: Sender?, _ post: () -> Post) -> Place? {
    guard state.unopened == nil else {
      state.unopened?.posts.append((post(), sender))
      return nil
    }
    return state.order?.place(post, from: sender)
  }

  /// Keeps a message that has its place, and appends it to the logs that somebody reads.
  private func append(
    _ message: Message, name: String? = nil, tag: String? = nil, at place: Place, _ forms: BroadcastLog.Forms?,
    _ state: inout State
  ) {
    let speaker = tag.flatMap { state.waitingTags.removeValue(forKey: $0) }
    guard place.id > state.history.last else {
      // It had its place before, and the room has forgotten it.
      let event = MessageEvent(at: place, message, from: name, tag: tag)
      speaker?.loop.execute { speaker?.send(event) }
      return
    }
    expire(&state)
    tally(&state) { $0.history.append(message, name: name, tag: tag, at: place) }
    if let name {
      if state.plainCount > 0 {
        let form = PlainProtocol.form(of: message, from: name, at: place.at)
        plainLog.append(Message(.text, form.span))
      }
    } else {
      plainLog.append(message, forms)
    }
    if !state.people.isEmpty { richLog.append(MessageEvent(at: place, message, from: name, tag: tag)) }
  }

  private func append(_ placed: PlacedPost, _ forms: BroadcastLog.Forms?, _ state: inout State) {
    let post = placed.post
    append(Message(post.kind, post.bytes.span), name: post.name, tag: post.tag, at: placed.place, forms, &state)
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
  ///
  /// - Parameter sender: nil if the engine is not shared.
  func say(_ message: Message, from sender: Sender? = nil) {
    let forms = plainLog.forms(of: message)
    let waits = state.withLock { state in
      guard state.isRecorded else {
        plainLog.append(message, forms)
        return false
      }
      guard let place = place(&state, from: sender, { Post(message) }) else { return true }
      append(message, at: place, forms, &state)
      return false
    }
    if waits { sender?.began(message.bytes.count) }
  }

  // MARK: The rich protocol

  // What somebody does whom another connection has taken over comes to nothing: that connection is about to be closed.

  /// Whether somebody can be welcomed now. Otherwise the connection's ``RichProtocol`` is told when that is so.
  func isOpen(for connection: Connection) -> Bool {
    state.withLock { state in
      guard state.unopened != nil else { return true }
      state.unopened?.connections.append(connection)
      if !state.isAvailable { connection.send(AvailabilityEvent(available: false)) }
      return false
    }
  }

  /// The connection does not wait any more.
  func stopWaiting(_ connection: Connection) {
    state.withLock { $0.unopened?.connections.removeAll { $0 === connection } }
  }

  /// Lets somebody in by name, and sends the welcome: what is said from then on follows it. Returns the session's id.
  func welcome(_ hello: ClientEvent.Hello, as name: Name, _ connection: Connection) throws(NameTaken) -> UInt64 {
    let entry = try state.withLock { state throws(NameTaken) in
      guard let entry = state.people.enter(name, as: connection, session: hello.session.flatMap { Session($0) }) else {
        throw NameTaken(proposal: state.people.proposal(for: name)?.text)
      }
      state.attendanceVersion += 1
      expire(&state)
      connection.join(richLog)
      connection.send(welcomeEvent(hello, name, entry.session, state))
      if !state.isAvailable { connection.send(AvailabilityEvent(available: false)) }
      if let old = entry.renamed { state.presence.renamed(old, to: name) }
      if !entry.isKnown { state.presence.changed(name) }
      schedulePresence(&state, connection.loop)
      return entry
    }
    entry.replaced?.giveWay()
    return entry.session.id
  }

  struct NameTaken: Error {
    let proposal: String?
  }

  private func welcomeEvent(
    _ hello: ClientEvent.Hello, _ name: Name, _ session: Session, _ state: borrowing State
  ) -> WelcomeEvent {
    let (messages, more, gap) = missed(hello, state.epoch, state.history)
    return WelcomeEvent(
      room: self.name, name: name.text, session: session.text, epoch: state.epoch, last: state.history.last,
      oldest: state.history.oldest, people: state.people.names(WelcomeEvent.maxPeople), count: state.count,
      messages: messages, more: more, gap: gap,
      limits: .init(text: options.maxTextLength, rate: options.maxEventRate, burst: options.maxEventBurst))
  }

  /// What somebody who comes back has missed. For others, or when that is not there any more, the newest messages.
  private func missed(
    _ hello: ClientEvent.Hello, _ current: String, _ history: History
  ) -> (messages: [MessageEvent], more: Bool, gap: Bool) {
    let newest = { history.page(before: .max, count: hello.history ?? self.options.newcomerMessages).messages }
    guard let epoch = hello.epoch, let after = hello.after else { return (newest(), false, false) }
    guard epoch == current && after <= history.last && history.isWhole(after: after) else {
      return (newest(), false, true)
    }
    let page = history.page(after: after, count: History.maxPage)
    return (page.messages, page.more, false)
  }

  /// Says something by the rich protocol to everyone, the sender included. When the room still has a message with the tag
  /// it is not said: the result is that message.
  func say(
    _ text: Text, tag: Tag, from id: UInt64, _ connection: Connection, _ sender: Sender?
  ) -> MessageEvent? {
    let bytes = Array(text.text.utf8)
    let (known, waits) = state.withLock { state -> (MessageEvent?, Bool) in
      guard let name = state.people.person(id, of: connection)?.name.text else { return (nil, false) }
      if let known = state.history.message(with: tag) { return (known, false) }
      // It comes when it has its place.
      guard state.waitingTags.updateValue(connection, forKey: tag.text) == nil else { return (nil, false) }
      let post = { Post(kind: .text, bytes: bytes, name: name, tag: tag.text) }
      guard let place = place(&state, from: sender, post) else { return (nil, true) }
      append(Message(.text, bytes.span), name: name, tag: tag.text, at: place, nil, &state)
      return (nil, false)
    }
    if waits { sender?.began(bytes.count) }
    return known
  }

  /// Tells everyone of the rich protocol that somebody is writing.
  func typing(_ id: UInt64, _ connection: Connection) {
    state.withLock { state in
      guard let name = state.people.person(id, of: connection)?.name else { return }
      richLog.append(TypingEvent(name: name.text))
      state.order?.typing(name.text)
    }
  }

  /// Gives somebody another name, and says so to the one who has asked for it.
  func rename(_ id: UInt64, to name: Name, _ connection: Connection) throws(NameTaken) {
    try state.withLock { state throws(NameTaken) in
      guard state.people.person(id, of: connection) != nil else { return }
      guard let old = state.people.rename(id, to: name) else {
        throw NameTaken(proposal: state.people.proposal(for: name)?.text)
      }
      connection.send(RenamedEvent(name: name.text))
      if old == name { return }
      state.attendanceVersion += 1
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
  func leave(_ id: UInt64, _ connection: Connection) {
    state.withLock { state in
      guard let name = state.people.leave(id, connection) else { return }
      state.attendanceVersion += 1
      state.presence.changed(name)
      schedulePresence(&state, connection.loop)
    }
  }

  // MARK: Presence

  private func countChanged(_ state: inout State, _ loop: EventLoop) {
    state.attendanceVersion += 1
    if state.people.isEmpty { return }
    state.presence.countChanged()
    schedulePresence(&state, loop)
  }

  /// At most so often news of presence is told.
  static let presenceInterval = Duration.milliseconds(200)

  /// Has the news told in a while, if there is any, with all that comes up until then.
  private func schedulePresence(_ state: inout State, _ loop: EventLoop) {
    guard state.presence.hasNews else { return }
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
      schedulePresence(&state, loop)
    }
  }
}

extension Room: RoomSink {
  func opened(_ kept: Kept) {
    state.withLock { state in
      tally(&state) { state in
        state.history = History(maxMessages: options.maxHistoryMessages, maxBytes: options.maxHistoryBytes)
        state.history.restore(kept)
      }
      expire(&state)
      let epoch = state.epoch
      state.epoch = kept.epoch
      guard let unopened = state.unopened else {
        // What they have is of another numbering.
        if epoch != kept.epoch { for connection in state.people.connections { connection.comeAgain() } }
        return
      }
      state.unopened = nil
      for (post, sender) in unopened.posts {
        guard let place = state.order?.place({ post }, from: sender) else { continue }
        append(PlacedPost(post, at: place), nil, &state)
        sender?.settled(post.bytes.count)
      }
      for connection in unopened.connections {
        connection.loop.execute { (connection.context as? RichProtocol)?.roomOpened(connection) }
      }
    }
  }

  func placed(_ posts: [PlacedPost]) {
    let forms = posts.map { $0.post.name == nil ? plainLog.forms(of: Message($0.post.kind, $0.post.bytes.span)) : nil }
    state.withLock { state in
      for (post, forms) in zip(posts, forms) { append(post, forms, &state) }
    }
    if budget.excess > 0 { forget(budget.excess) }
  }

  func availabilityChanged(_ isAvailable: Bool) {
    state.withLock { state in
      guard state.isAvailable != isAvailable else { return }
      state.isAvailable = isAvailable
      let event = AvailabilityEvent(available: isAvailable)
      if !state.people.isEmpty { richLog.append(event) }
      for connection in state.unopened?.connections ?? [] { connection.loop.execute { connection.send(event) } }
    }
  }
}

extension Room {
  func attendance(unless version: Int) -> (attendance: Attendance, version: Int)? {
    state.withLock { state in
      guard state.attendanceVersion != version else { return nil }
      let attendance = Attendance(people: state.people.attendance, count: state.people.count + state.plainCount)
      return (attendance, state.attendanceVersion)
    }
  }

  func attended(_ server: String, _ attendance: Attendance) {
    let replaced = state.withLock { state in
      let count = state.count
      let (changed, replaced) = state.people.update(server, attendance)
      if !replaced.isEmpty { state.attendanceVersion += 1 }
      for name in changed { state.presence.changed(name) }
      if state.count != count { state.presence.countChanged() }
      // Nobody else is to be told.
      if let loop = state.people.connections.first(where: { _ in true })?.loop { schedulePresence(&state, loop) }
      return replaced
    }
    for connection in replaced { connection.giveWay() }
  }

  func typed(_ name: String) {
    state.withLock { state in if !state.people.isEmpty { richLog.append(TypingEvent(name: name)) } }
  }
}

extension BroadcastLog {
  func append(_ event: some ServerEvent) {
    let json = event.json
    append(Message(.text, json.span))
  }
}

extension Connection {
  /// Another one speaks for the person.
  fileprivate func giveWay() {
    loop.execute { self.close(.replaced, reason: "replaced by another connection") }
  }

  fileprivate func comeAgain() {
    loop.execute { self.close(.serviceRestart, reason: "the room has begun anew") }
  }

  func send(_ event: some ServerEvent) {
    let json = event.json
    send(Message(.text, json.span))
  }
}
