internal import Confab
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

  let budget: HistoryBudget
  private let makeSpace: @Sendable (Room) -> Void
  /// Maximum size of a text as readers of the rich protocol get it, see ``MessageEvent``.
  let maxTextBytes: Int
  /// What readers of the plain protocol get.
  let plainLog = BroadcastLog()
  /// What those of the rich one get who have a name.
  let richLog = BroadcastLog()
  let state: Mutex<State>

  struct State {
    /// Where messages get their places; nil while the room is being made.
    var order: (any RoomOrder)?
    /// Called when the engine has opened the room, by the visit that waits; nil when it has.
    var waiting: [ObjectIdentifier: @Sendable () -> Void]? = [:]
    var isAvailable = true
    /// Says which numbering the ids of messages belong to: one who comes back may find another room of the same name.
    var epoch = ""
    var history: History
    /// The tags of messages that wait for their place, and the connections that have said them.
    var waitingTags: [MemberTag: Connection] = [:]
    var people: People<Connection>
    /// Connections of the plain protocol.
    var plain: [ObjectIdentifier: Connection] = [:]
    /// Connections that have heard more than the room has, and wait to be welcomed until it has that message, too.
    var ahead: [(after: Int, connection: Connection)] = []
    var presence = Presence()
    /// When the news of presence is to be told; nil when there is none.
    var presenceDue: ContinuousClock.Instant?
    /// Rises when somebody comes, goes or changes the name.
    var attendanceVersion = 0
    /// Whether the engine knows that it has risen since it asked last.
    var isAttendanceChangeTold = false
    /// Whether it has no visits, and its memory is counted in the budget.
    var isVacant = false

    var count: Int { people.count + plain.count + people.otherCount }
  }

  init(
    name: String, options: ChatOptions, budget: HistoryBudget, engine: any Engine,
    makeSpace: @escaping @Sendable (Room) -> Void
  ) {
    (self.name, self.options, self.budget, self.makeSpace) = (name, options, budget, makeSpace)
    maxTextBytes = MessageEvent.maxTextBytes(textLimit: options.maxTextLength)
    let history = History(maxMessages: options.maxHistoryMessages, maxBytes: options.maxHistoryBytes)
    state = Mutex(State(isAvailable: engine.isAvailable, history: history, people: People(room: name)))
    let order = engine.open(name, self)
    state.withLock { $0.order = order }
    if engine.isShared { record() }
  }

  deinit { budget.add(-state.withLock { $0.history.bytes + ($0.isVacant ? vacantBytes : 0) }) }

  /// What a room that has been left takes beside its history, at the most: itself, its logs and tables.
  static let vacantOverhead = 4 << 10
  private var vacantBytes: Int { Room.vacantOverhead + name.utf8.count }

  /// Tells that the last visit has ended, and the room is kept, or that there is one again.
  func setVacant(_ isVacant: Bool) {
    state.withLock { state in
      guard state.isVacant != isVacant else { return }
      state.isVacant = isVacant
      budget.add(isVacant ? vacantBytes : -vacantBytes)
      if isVacant { state.history.shrink() }
    }
  }

  /// Sees to it that all histories take no more memory than they may, after this one may have grown.
  func keepWithinBudget() {
    if budget.excess > 0 { makeSpace(self) }
  }

  /// Gives the room up: it has no visits, and gets none any more.
  func close() {
    setVacant(false)
    state.withLock(\.order)?.close()
  }

  // MARK: Opening

  /// Whether the engine has opened the room: what is said from then on is heard.
  var isOpen: Bool { state.withLock { $0.waiting == nil } }

  /// Calls `action` once, on any thread: when the room is open, or when the visit stops waiting for that.
  func whenOpen(_ visit: ObjectIdentifier, _ action: @escaping @Sendable () -> Void) {
    let isOpen = state.withLock { state in
      state.waiting?[visit] = action
      return state.waiting == nil
    }
    if isOpen { action() }
  }

  func stopWaiting(_ visit: ObjectIdentifier) { state.withLock { $0.waiting?.removeValue(forKey: visit) }?() }

  /// Asks for messages' places, and keeps history, from now on: somebody speaks the rich protocol, or the engine is shared.
  func record() { plainLog.keepOrder() }

  /// Whether it has messages that somebody may ask for.
  var hasHistory: Bool { state.withLock { !$0.history.isEmpty } }

  /// Forgets old messages, so that `count` bytes are free again, or there are none left.
  func forget(_ count: Int) {
    state.withLock { state in tally(&state) { $0.history.forget(count) } }
  }

  /// Does something to the history, and keeps account of the memory.
  func tally<Result>(_ state: inout State, _ body: (inout State) -> Result) -> Result {
    let bytes = state.history.bytes
    defer { budget.add(state.history.bytes - bytes) }
    return body(&state)
  }

  /// Forgets what is too old.
  func expire(_ state: inout State) {
    let age = options.maxHistoryAge
    if age > .zero {
      tally(&state) { $0.history.forget(olderThan: WallClock.milliseconds - age.components.seconds * 1000) }
    }
  }

  // MARK: The order

  /// Keeps a message that has its place, and appends it to the logs that somebody reads.
  func append(
    _ message: Message, name: String? = nil, member: Member? = nil, tag: String? = nil, at place: Place,
    _ forms: BroadcastLog.Forms?, _ state: inout State
  ) {
    let speaker = MemberTag(member, tag).flatMap { state.waitingTags.removeValue(forKey: $0) }
    guard place.id > state.history.last else {
      // It had its place before, and the room has forgotten it.
      guard let speaker else { return }
      let json = json(message, name, member, tag, at: place)
      speaker.loop.execute { speaker.send(Message(.text, json.span)) }
      return
    }
    expire(&state)
    let isRead = !state.people.isEmpty
    let json = isRead || options.maxHistoryMessages > 0 ? json(message, name, member, tag, at: place) : []
    tally(&state) { $0.history.append(json, member: member, tag: tag, at: place) }
    if let name {
      if !state.plain.isEmpty {
        let form = PlainProtocol.form(of: message, from: name, at: place.at)
        plainLog.append(Message(.text, form.span))
      }
    } else {
      plainLog.append(message, forms)
    }
    if isRead { richLog.append(Message(.text, json.span)) }
  }

  private func json(
    _ message: Message, _ name: String?, _ member: Member?, _ tag: String?, at place: Place
  ) -> [UInt8] {
    MessageEvent(at: place, message, from: name, member: member, tag: tag, maxTextBytes: maxTextBytes).json
  }

  func append(_ placed: PlacedPost, _ forms: BroadcastLog.Forms?, _ state: inout State) {
    let post = placed.post
    append(
      Message(post.kind, post.bytes.span), name: post.name, member: post.member, tag: post.tag, at: placed.place, forms,
      &state)
  }

  // MARK: The plain protocol

  /// Lets a connection of the plain protocol read what is said from now on.
  func admit(_ connection: Connection) {
    state.withLock { state in
      state.plain[ObjectIdentifier(connection)] = connection
      connection.join(plainLog)
      countChanged(&state, connection.loop)
    }
  }

  /// Counts one of the plain protocol out.
  func leave(_ connection: Connection) {
    state.withLock { state in
      state.plain[ObjectIdentifier(connection)] = nil
      if state.plain.isEmpty { state.plain = [:] }
      countChanged(&state, connection.loop)
    }
  }

  /// Says a message of the plain protocol to everyone, the sender included.
  ///
  /// - Parameter sender: nil if the engine is not shared.
  func say(_ message: Message, from sender: Sender? = nil) {
    let forms = plainLog.forms(of: message)
    if plainLog.appendUnlessOrdered(message, forms) { return }
    let waits = state.withLock { state in
      guard let place = state.order?.place({ Post(message) }, from: sender) else { return true }
      append(message, at: place, forms, &state)
      return false
    }
    if waits { sender?.began(message.bytes.count) }
    keepWithinBudget()
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
  func giveWay() {
    loop.execute { self.close(.replaced, reason: "replaced by another connection") }
  }

  func comeAgain() {
    loop.execute { self.close(.serviceRestart, reason: "the room has begun anew") }
  }

  func send(_ event: some ServerEvent) {
    let json = event.json
    send(Message(.text, json.span))
  }
}
