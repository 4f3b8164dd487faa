internal import Confab
internal import Synchronization

/// A room: its messages, in one order for all members, and its members.
///
/// The engine assigns an offset to each message, under the room's lock. The message then goes to the history and to
/// both logs, at once or in ``published(_:)`` if the engine takes longer. So readers of the plain and of the rich
/// protocol see one order on all event loops. Each form of a message is made once, and only if it has readers.
///
/// ``RoomState`` implements the rules. This class adds the lock, and does the work that is not allowed under the lock.
///
/// Any thread, except for functions with a connection, which are called on the connection's loop.
final class ChatRoom: Sendable {
  let name: String
  let options: ChatOptions
  /// The rooms of the chat.
  weak let rooms: ChatRooms?

  private let budget: HistoryBudget
  private let logs: RoomLogs
  private let state: Mutex<RoomState>

  init(name: String, options: ChatOptions, budget: HistoryBudget, engine: any Engine, rooms: ChatRooms? = nil) {
    (self.name, self.options, self.budget, self.rooms) = (name, options, budget, rooms)
    logs = RoomLogs(room: name)
    state = Mutex(RoomState(name: name, options, logs, budget, isAvailable: engine.isAvailable))
    let engineRoom = engine.open(name, self)
    let sendPresence: @Sendable (EventLoop) -> Void = { [weak self] in self?.sendPresence(on: $0) }
    state.withLock { $0.attach(engineRoom, sendPresence: sendPresence) }
    if engine.isShared { keepOrder() }
  }

  deinit { budget.add(-state.withLock(\.budgetedBytes)) }

  /// Closes the room, which has no references and gets no more.
  func close() {
    setVacant(false)
    state.withLock(\.engine)?.close()
  }

  // MARK: Opening

  /// Whether the engine has opened the room, so that messages are delivered.
  var isOpen: Bool { state.withLock(\.isOpen) }

  /// Calls `action` once, on any thread, when the room is open or `owner` has stopped waiting.
  func whenOpen(_ owner: ObjectIdentifier, _ action: @escaping @Sendable () -> Void) {
    if !state.withLock({ $0.addOpenAction(owner, action) }) { action() }
  }

  func stopWaiting(_ owner: ObjectIdentifier) { state.withLock { $0.removeOpenAction(owner) }?() }

  /// Starts to get offsets and to keep history, because a client uses the rich protocol or the engine is shared.
  func keepOrder() { logs.plain.keepOrder() }

  // MARK: Memory

  /// Whether the room has stored messages.
  var hasHistory: Bool { state.withLock(\.hasHistory) }

  /// Marks the room as vacant when its last reference is released, or as occupied again.
  func setVacant(_ isVacant: Bool) { state.withLock { $0.setVacant(isVacant) } }

  /// Drops old messages, until `count` bytes are free or no message is left.
  func drop(_ count: Int) { state.withLock { $0.drop(count) } }

  /// Frees memory if the histories of all rooms exceed the budget.
  func keepWithinBudget() {
    if budget.excess > 0 { rooms?.makeSpace(for: self) }
  }

  // MARK: The plain protocol

  /// Adds a connection of the plain protocol, which reads messages from now on.
  func add(_ connection: Connection) { state.withLock { $0.add(connection) } }

  /// Removes a connection of the plain protocol.
  func remove(_ connection: Connection) { state.withLock { $0.remove(connection) } }

  /// Publishes a message of the plain protocol to all members, including the sender.
  ///
  /// - Parameter quota: nil if the engine is not shared.
  func publish(_ message: Message, _ quota: PublisherQuota? = nil) {
    let forms = logs.plain.compressedForms(of: message)
    if logs.plain.appendUnlessOrdered(message, compressed: forms) { return }
    let isPending = state.withLock { $0.publish(message, forms, quota) }
    if isPending { quota?.charge(message.bytes.count) }
    keepWithinBudget()
  }

  // MARK: The rich protocol
  //
  // Events from a replaced connection are ignored; it is about to be closed.

  /// Maximum time that a returning client waits until the room has all messages that the client already has.
  static let catchUpTimeout = Duration.seconds(5)

  struct NameTaken: Error {
    let proposal: String?
  }

  /// Reason why a change of a message is rejected.
  enum ChangeProblem {
    /// The message is not stored, or was removed.
    case notStored
    /// The message is of another member.
    case notAllowed
    /// The message is older than ``ChatOptions/maxChangeAge``.
    case tooLate
  }

  /// Returns whether the room has all messages that the client has. If not, calls `resume` on the connection's loop as
  /// soon as the room has them.
  func hasCaughtUp(
    with hello: ClientEvent.Hello, _ connection: Connection, _ resume: @escaping @Sendable () -> Void
  ) -> Bool {
    state.withLock { $0.hasCaughtUp(with: hello, connection, resume) }
  }

  /// Cancels the wait for messages, and the call of `resume`.
  func stopWaiting(_ connection: Connection) { state.withLock { $0.stopWaiting(connection) } }

  /// Adds a client by name and sends the welcome. Messages published later are sent after the welcome.
  ///
  /// - Parameter isEntered: whether the client has entered the room with the event `enter`. Events of the room then
  ///   have the JSON member `room`.
  /// - Returns: the session, and the size of the welcome in bytes; nil if a newer connection has the client's session.
  ///   This connection is then closed.
  func welcome(
    _ hello: ClientEvent.Hello, as name: Name, _ client: AdmittedClient?, at address: AddressRange?,
    _ connection: Connection, isEntered: Bool
  ) throws(NameTaken) -> (session: Session, welcomeBytes: Int)? {
    let result = try state.withLock { state throws(NameTaken) in
      try state.welcome(hello, as: name, client, at: address, connection, isEntered: isEntered)
    }
    (result == nil ? connection : result?.join.replaced)?.closeReplaced()
    return result.map { ($0.join.session, $0.bytes) }
  }

  /// Returns the name of a member; nil if another connection has replaced this one.
  func name(of member: Member, _ connection: Connection) -> Name? { state.withLock { $0.name(of: member, connection) } }

  /// Renames a member, and confirms that to its connection.
  func rename(_ member: Member, to name: Name, _ connection: Connection) throws(NameTaken) {
    try state.withLock { state throws(NameTaken) in try state.rename(member, to: name, connection) }
  }

  /// Removes a member, unless the connection has been replaced.
  func leave(_ member: Member, _ connection: Connection) { state.withLock { $0.leave(member, connection) } }

  /// Removes a member that has entered the room. The connection stays open.
  func leaveEntered(_ member: Member, _ connection: Connection) {
    state.withLock { $0.leaveEntered(member, connection) }
  }

  /// Returns an encoded event with the member `room`.
  func withRoom(_ json: ArraySlice<UInt8>) -> [UInt8] { logs.withRoom(json) }

  /// Publishes a message of the rich protocol to all members, including the sender. If the room already has a message
  /// with this member and tag, returns that message instead.
  func publish(
    _ text: Text, tag: Tag, from member: Member, _ connection: Connection, _ quota: PublisherQuota?
  ) -> ArraySlice<UInt8>? {
    let bytes = Array(text.text.utf8)
    let result = state.withLock { $0.publish(bytes, tag: tag, from: member, connection, quota) }
    switch result {
    case .alreadyPublished(_, let json): return json
    case .pending: quota?.charge(bytes.count)
    case .published, .alreadyPending, nil: break
    }
    keepWithinBudget()
    return nil
  }

  /// Publishes a client's change of a message. Returns the reason why the change is not allowed; nil if it is allowed.
  func publish(
    _ entry: EntryKind, _ text: Text?, by member: Member, isModerator: Bool, _ connection: Connection,
    _ quota: PublisherQuota?
  ) -> ChangeProblem? {
    let bytes = text.map { Array($0.text.utf8) } ?? []
    let (problem, isPending) = state.withLock { state in
      if let problem = state.problem(of: entry, by: member, isModerator: isModerator) {
        return (problem as ChangeProblem?, false)
      }
      return (nil, state.publish(entry, bytes, by: member, connection, quota) ?? false)
    }
    if isPending { quota?.charge(bytes.count) }
    keepWithinBudget()
    return problem
  }

  // MARK: The program

  /// Publishes a message of the program, or a change of a message. `done` is called once, on any thread.
  func publish(
    _ message: ProgramMessage, _ quota: PublisherQuota?,
    _ done: @escaping @Sendable (Result<StreamPosition, ChatError>) -> Void
  ) {
    keepOrder()
    let bytes = message.text.map { Array($0.text.utf8) } ?? []
    let (result, epoch) = state.withLock { state in
      (state.publish(message, bytes, from: programMember, quota, done), state.epoch)
    }
    switch result {
    case .alreadyPublished(let position, _): done(.success(StreamPosition(epoch: epoch, offset: position.offset)))
    case .pending: quota?.charge(bytes.count)
    // `done` has been called, or will be.
    case .published, .alreadyPending, nil: break
    }
    keepWithinBudget()
  }

  /// The sender of the program's messages. It is equal on all servers, so that a key is unique across servers.
  private var programMember: Member {
    Member(bytes: sha256(Array(("program" + name).utf8)).prefix(Member.byteCount))
  }

  /// Calls `wake` whenever the messages may have changed, until ``stopObserving(_:)``.
  func observe(_ observer: ObjectIdentifier, _ wake: @escaping @Sendable () -> Void) {
    keepOrder()
    state.withLock { $0.observe(observer, wake) }
  }

  /// Returns the position of the newest message when the observer began. If the room was not open then, returns the
  /// position at which it opened; nil until it is open.
  func start(of observer: ObjectIdentifier) -> StreamPosition? { state.withLock { $0.start(of: observer) } }

  func stopObserving(_ observer: ObjectIdentifier) { state.withLock { $0.stopObserving(observer) } }

  /// Returns a page of the history for the program.
  func page(after: StreamPosition?, before: StreamPosition?, count: Int) throws(ChatError) -> HistoryPage {
    try state.withLock { state throws(ChatError) in try state.page(after: after, before: before, count: count) }
  }

  /// Throws if the room is in another epoch.
  func checkEpoch(_ epoch: String) throws(ChatError) {
    if state.withLock(\.epoch) != epoch { throw .otherEpoch }
  }

  var memberList: MemberList { state.withLock(\.memberList) }

  /// The members with a name, on all servers.
  var members: [RoomMember] { state.withLock(\.members) }

  /// Calls `wake` whenever the members may have changed, until ``stopWatchingMembers(_:)``.
  func watchMembers(_ watcher: ObjectIdentifier, _ wake: @escaping @Sendable () -> Void) {
    state.withLock { $0.watchMembers(watcher, wake) }
  }

  func stopWatchingMembers(_ watcher: ObjectIdentifier) { state.withLock { $0.watchMembers(watcher, nil) } }

  // MARK: The rich protocol's other events

  /// Informs all members of the rich protocol that a user is typing.
  func typing(_ member: Member, _ connection: Connection) { state.withLock { $0.typing(member, connection) } }

  /// Returns a page of the history; nil if the requested messages have been dropped.
  func page(_ request: ClientEvent.HistoryRequest) -> HistoryEvent? { state.withLock { $0.page(request) } }

  // MARK: Moderation

  /// Returns a member with a name, on any server.
  func find(_ query: MemberQuery) -> FoundMember? { state.withLock { $0.find(query) } }

  /// Calls `action` with the connections of this server, on their loops.
  func forEachConnection(_ action: @escaping @Sendable (Connection) -> Void) {
    let connections = state.withLock(\.connections)
    for (_, connections) in Dictionary(grouping: connections, by: { ObjectIdentifier($0.loop) }) {
      connections[0].loop.execute { for connection in connections { action(connection) } }
    }
  }

  /// Number of members on all servers.
  var memberCount: Int { state.withLock(\.memberCount) }

  private func sendPresence(on loop: EventLoop) { state.withLock { $0.sendPresence(on: loop) } }
}

// Calls from the engine.
extension ChatRoom: RoomDelegate {
  func opened(_ snapshot: RoomSnapshot) {
    let (actions, isMade) = state.withLock { ($0.restore(snapshot), $0.engine != nil) }
    for action in actions { action() }
    // ChatRooms.enter does this for a new room.
    if isMade { keepWithinBudget() }
  }

  func epochChanged(_ epoch: String) { state.withLock { $0.begin(epoch: epoch) } }

  func published(_ publications: [Publication]) {
    let forms = publications.map { publication in
      let draft = publication.draft
      return draft.name == nil ? logs.plain.compressedForms(of: Message(draft.kind, draft.bytes.span)) : nil
    }
    state.withLock { $0.append(publications, forms) }
    keepWithinBudget()
  }

  func rejected(_ drafts: [Draft]) { state.withLock { $0.reject(drafts) } }

  func availabilityChanged(_ isAvailable: Bool) { state.withLock { $0.setAvailable(isAvailable) } }

  func presence(unless version: Int) -> (presence: ServerPresence, version: Int)? {
    state.withLock { $0.report(unless: version) }
  }

  func presenceChanged(on server: String, to presence: ServerPresence) {
    for connection in state.withLock({ $0.update(server, presence) }) { connection.closeReplaced() }
  }

  func typed(_ name: String) {
    guard let name = Name(name, limit: Name.greatestLimit) else { return }
    state.withLock { $0.typed(name) }
  }
}

extension Connection {
  /// Closes the connection, because another one has replaced it.
  fileprivate func closeReplaced() {
    loop.execute { self.close(.replaced, reason: "replaced by another connection") }
  }

  func send(_ event: some ServerEvent) {
    let json = event.json
    send(Message(.text, json.span))
  }
}
