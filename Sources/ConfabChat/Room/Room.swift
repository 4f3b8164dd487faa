internal import Confab
internal import Synchronization

/// A room: its messages, in one order for all members, and its members.
///
/// The room's ``RoomOrder`` assigns an offset to each message, under the room's lock. The message then goes to the
/// history and to both logs, at once or in ``placed(_:)`` if the engine takes longer. So readers of the plain and of
/// the rich protocol see one order on all event loops. Each form of a message is made once, and only if it has readers.
///
/// Any thread, except for functions that take a connection: call those on the connection's loop.
final class Room: Sendable {
  let name: String
  let options: ChatOptions

  let budget: HistoryBudget
  private let makeSpace: @Sendable (Room) -> Void
  /// Maximum size of a text for readers of the rich protocol, see ``MessageEvent``.
  let maxTextBytes: Int
  /// Messages for readers of the plain protocol.
  let plainLog = BroadcastLog()
  /// Events for members of the rich protocol.
  let richLog = BroadcastLog()
  let state: Mutex<State>

  struct State {
    /// Assigns the offsets; nil while the room is being made.
    var order: (any RoomOrder)?
    /// Actions to call when the engine has opened the room, by waiting visit; nil once it is open.
    var waiting: [ObjectIdentifier: @Sendable () -> Void]? = [:]
    var isAvailable = true
    /// Epoch of the offsets. A returning client may find another room of the same name.
    var epoch = ""
    var history: History
    /// Tags of pending messages, with the connections that have sent them.
    var waitingTags: [MemberTag: Connection] = [:]
    var people: People<Connection>
    /// Connections of the plain protocol.
    var plain: [ObjectIdentifier: Connection] = [:]
    /// Connections that have messages that the room does not have yet. Their welcome waits for these.
    var ahead: [(after: Int, connection: Connection)] = []
    var presence = Presence()
    /// Time of the next presence event; nil if none is pending.
    var presenceDue: ContinuousClock.Instant?
    /// Version that rises when a member joins, leaves or is renamed.
    var attendanceVersion = 0
    /// Whether the engine has been notified of the change since its last query.
    var isAttendanceChangeTold = false
    /// Whether the room has no visits, so that its memory is counted in the budget.
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

  /// Maximum memory of a vacant room beside its history: the room, its logs and tables.
  static let vacantOverhead = 4 << 10
  private var vacantBytes: Int { Room.vacantOverhead + name.utf8.count }

  /// Marks the room as vacant when its last visit has ended, or as occupied again.
  func setVacant(_ isVacant: Bool) {
    state.withLock { state in
      guard state.isVacant != isVacant else { return }
      state.isVacant = isVacant
      budget.add(isVacant ? vacantBytes : -vacantBytes)
      if isVacant { state.history.shrink() }
    }
  }

  /// Reduces the histories to the budget, after this one may have grown.
  func keepWithinBudget() {
    if budget.excess > 0 { makeSpace(self) }
  }

  /// Closes the room, which has no visits and gets no more.
  func close() {
    setVacant(false)
    state.withLock(\.order)?.close()
  }

  // MARK: Opening

  /// Whether the engine has opened the room, so that messages are delivered.
  var isOpen: Bool { state.withLock { $0.waiting == nil } }

  /// Calls `action` once, on any thread, when the room is open or the visit stops waiting for that.
  func whenOpen(_ visit: ObjectIdentifier, _ action: @escaping @Sendable () -> Void) {
    let isOpen = state.withLock { state in
      state.waiting?[visit] = action
      return state.waiting == nil
    }
    if isOpen { action() }
  }

  func stopWaiting(_ visit: ObjectIdentifier) { state.withLock { $0.waiting?.removeValue(forKey: visit) }?() }

  /// Starts to get offsets and to keep history, because a client uses the rich protocol or the engine is shared.
  func record() { plainLog.keepOrder() }

  /// Whether the room has stored messages.
  var hasHistory: Bool { state.withLock { !$0.history.isEmpty } }

  /// Drops old messages, until `count` bytes are free or none is left.
  func forget(_ count: Int) {
    state.withLock { state in tally(&state) { $0.history.forget(count) } }
  }

  /// Changes the history, and updates the budget.
  func tally<Result>(_ state: inout State, _ body: (inout State) -> Result) -> Result {
    let bytes = state.history.bytes
    defer { budget.add(state.history.bytes - bytes) }
    return body(&state)
  }

  /// Drops expired messages.
  func expire(_ state: inout State) {
    let age = options.maxHistoryAge
    if age > .zero {
      tally(&state) { $0.history.forget(olderThan: WallClock.milliseconds - age.components.seconds * 1000) }
    }
  }

  // MARK: The order

  /// Stores a message with its offset, and appends it to the logs that have readers.
  func append(
    _ message: Message, name: String? = nil, member: Member? = nil, tag: String? = nil, at place: Place,
    _ forms: BroadcastLog.CompressedForms?, _ state: inout State
  ) {
    let speaker = MemberTag(member, tag).flatMap { state.waitingTags.removeValue(forKey: $0) }
    guard place.id > state.history.last else {
      // The message had its offset before, and the room has dropped it.
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
      plainLog.append(message, compressed: forms)
    }
    if isRead { richLog.append(Message(.text, json.span)) }
  }

  private func json(
    _ message: Message, _ name: String?, _ member: Member?, _ tag: String?, at place: Place
  ) -> [UInt8] {
    MessageEvent(at: place, message, from: name, member: member, tag: tag, maxTextBytes: maxTextBytes).json
  }

  func append(_ placed: PlacedPost, _ forms: BroadcastLog.CompressedForms?, _ state: inout State) {
    let post = placed.post
    append(
      Message(post.kind, post.bytes.span), name: post.name, member: post.member, tag: post.tag, at: placed.place, forms,
      &state)
  }

  // MARK: The plain protocol

  /// Adds a connection of the plain protocol, which reads messages from now on.
  func admit(_ connection: Connection) {
    state.withLock { state in
      state.plain[ObjectIdentifier(connection)] = connection
      connection.join(plainLog)
      countChanged(&state, connection.loop)
    }
  }

  /// Removes a connection of the plain protocol.
  func leave(_ connection: Connection) {
    state.withLock { state in
      state.plain[ObjectIdentifier(connection)] = nil
      if state.plain.isEmpty { state.plain = [:] }
      countChanged(&state, connection.loop)
    }
  }

  /// Publishes a message of the plain protocol to all members, including the sender.
  ///
  /// - Parameter sender: nil if the engine is not shared.
  func say(_ message: Message, from sender: Sender? = nil) {
    let forms = plainLog.compressedForms(of: message)
    if plainLog.appendUnlessOrdered(message, compressed: forms) { return }
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
  /// Closes the connection, because another one has replaced it.
  func giveWay() {
    loop.execute { self.close(.replaced, reason: "replaced by another connection") }
  }

  func comeAgain() {
    loop.execute { self.close(.serviceRestart, reason: "room restarted") }
  }

  func send(_ event: some ServerEvent) {
    let json = event.json
    send(Message(.text, json.span))
  }
}
