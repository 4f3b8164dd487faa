internal import Confab

/// State of a room, under its lock: the messages, the presence, and rules that need both.
struct RoomState {
  private let name: String
  private let options: ChatOptions
  private let logs: RoomLogs
  private let budget: HistoryBudget
  private var stream: MessageStream
  private var presence: RoomPresence
  /// Actions to call when the engine has opened the room, by their owner; nil once it is open.
  private var openActions: [ObjectIdentifier: @Sendable () -> Void]? = [:]
  private var isAvailable: Bool
  /// Whether the room has no references. The budget then includes the memory of the room beside its history.
  private var isVacant = false

  init(name: String, _ options: ChatOptions, _ logs: RoomLogs, _ budget: HistoryBudget, isAvailable: Bool) {
    (self.name, self.options, self.logs, self.budget) = (name, options, logs, budget)
    stream = MessageStream(options, logs, budget)
    presence = RoomPresence(room: name, logs)
    self.isAvailable = isAvailable
  }

  mutating func attach(_ engine: any EngineRoom, sendPresence: @escaping @Sendable (EventLoop) -> Void) {
    stream.attach(engine)
    presence.attach(engine, sendEvent: sendPresence)
  }

  var engine: (any EngineRoom)? { stream.engine }
  var epoch: String { stream.epoch }

  // MARK: Opening

  var isOpen: Bool { openActions == nil }

  /// Adds an action to call when the room is open. Returns false if it is open already.
  mutating func addOpenAction(_ owner: ObjectIdentifier, _ action: @escaping @Sendable () -> Void) -> Bool {
    openActions?[owner] = action
    return !isOpen
  }

  mutating func removeOpenAction(_ owner: ObjectIdentifier) -> (@Sendable () -> Void)? {
    openActions?.removeValue(forKey: owner)
  }

  /// Restores the engine's snapshot. Returns the actions to call, because the room is open.
  mutating func restore(_ snapshot: RoomSnapshot) -> [@Sendable () -> Void] {
    if isOpen { closeConnections() }
    stream.restore(snapshot)
    defer { openActions = nil }
    return openActions.map { Array($0.values) } ?? []
  }

  mutating func begin(epoch: String) {
    if isOpen && stream.epoch != epoch { closeConnections() }
    stream.begin(epoch: epoch)
  }

  /// Closes clients that have missed messages, or know offsets that may be assigned again.
  private func closeConnections() {
    for connection in presence.connections {
      connection.loop.execute { connection.close(.serviceRestart, reason: "room restarted") }
    }
  }

  mutating func setAvailable(_ isAvailable: Bool) {
    guard self.isAvailable != isAvailable else { return }
    self.isAvailable = isAvailable
    logs.append(AvailabilityEvent(available: isAvailable), to: presence.audience)
  }

  // MARK: Members

  /// Adds a connection of the plain protocol, which reads messages from now on.
  mutating func add(_ connection: Connection) {
    read(logs.plain, connection)
    presence.add(connection)
  }

  /// Makes the connection read a log. Closes the connection if it already reads the maximum number of logs, which only
  /// the program can cause.
  private func read(_ log: BroadcastLog, _ connection: Connection) {
    if connection.join(log) { return }
    connection.loop.execute { connection.close(.internalError, reason: "in too many rooms") }
  }

  var memberCount: Int { presence.count }

  /// All connections of the room.
  var connections: [Connection] { presence.connections }

  func find(_ query: MemberQuery) -> FoundMember? { presence.find(query) }

  var members: [RoomMember] { presence.all }

  mutating func watchMembers(_ watcher: ObjectIdentifier, _ wake: (@Sendable () -> Void)?) {
    presence.watch(watcher, wake)
  }

  mutating func remove(_ connection: Connection) { presence.remove(connection) }

  /// Adds a client by name and sends the welcome. Messages appended later are sent after the welcome.
  ///
  /// - Parameter isEntered: whether the client has entered the room with the event `enter`.
  /// - Returns: the result of the join, and the size of the welcome in bytes; nil if a newer connection has the
  ///   client's session.
  mutating func welcome(
    _ hello: ClientEvent.Hello, as name: Name, _ client: AdmittedClient?, at address: AddressRange?,
    _ connection: Connection, isEntered: Bool
  ) throws(ChatRoom.NameTaken) -> (join: RoomMembers<Connection>.Join, bytes: Int)? {
    let session = hello.session.flatMap { Session($0, in: self.name) }
    let account = MemberAccount(client, at: address)
    guard
      let join = try presence.join(
        name, session, owner: client?.owner, account, connection, isEntered: isEntered)
    else { return nil }
    read(isEntered ? logs.entered : logs.rich, connection)
    let isHidden = client.map { !$0.rights.contains(.history) } ?? false
    let missed = isHidden ? .hidden(hello) : stream.missed(hello)
    // A welcome always has the member `room`.
    let json = WelcomeEvent(
      room: self.name, name: name.text, member: join.session.member, session: join.session.text,
      epoch: stream.epoch, last: stream.lastOffset,
      oldest: isHidden ? stream.lastOffset + 1 : stream.oldestOffset,
      people: presence.names(WelcomeEvent.maxPeople), count: presence.count, messages: missed.messages,
      more: missed.more, gap: missed.hasGap,
      limits: WelcomeEvent.ClientLimits(options, rooms: connection.loop.maxRoomsPerConnection),
      identity: client?.identity
    ).json
    connection.send(Message(.text, json.span))
    if !isAvailable { send(AvailabilityEvent(available: false), to: connection) }
    return (join, json.count)
  }

  /// Sends an event of the room to a member.
  private func send(_ event: some ServerEvent, to connection: Connection) {
    let json = presence.json(of: event, for: connection)
    connection.send(Message(.text, json.span))
  }

  /// Renames a member, and confirms that to its connection.
  mutating func rename(_ member: Member, to name: Name, _ connection: Connection) throws(ChatRoom.NameTaken) {
    if try presence.rename(member, to: name, connection) { send(RenamedEvent(name: name.text), to: connection) }
  }

  /// Returns the name of a member; nil if another connection has replaced this one.
  func name(of member: Member, _ connection: Connection) -> Name? { presence.name(of: member, connection) }

  mutating func leave(_ member: Member, _ connection: Connection) { presence.leave(member, connection) }

  /// Removes a member whose connection stays open.
  mutating func leaveEntered(_ member: Member, _ connection: Connection) {
    presence.leave(member, connection)
    connection.leave(logs.entered)
  }

  func typing(_ member: Member, _ connection: Connection) { presence.typing(member, connection) }

  /// Informs the members on this server that a user on another server is typing.
  func typed(_ name: Name) { logs.append(TypingEvent(name: name.text), to: presence.audience) }

  mutating func report(unless version: Int) -> (presence: ServerPresence, version: Int)? {
    presence.report(unless: version)
  }

  mutating func update(_ server: String, _ remote: ServerPresence) -> [Connection] { presence.update(server, remote) }

  mutating func sendPresence(on loop: EventLoop) { presence.sendEvent(on: loop) }

  // MARK: Messages

  /// Publishes a message of the plain protocol. Returns whether it is pending.
  mutating func publish(_ message: Message, _ forms: BroadcastLog.CompressedForms?, _ quota: PublisherQuota?) -> Bool {
    stream.publish(message, forms, quota, to: presence.audience)
  }

  /// Publishes a message of the rich protocol. Nil if another connection has replaced this one.
  mutating func publish(
    _ bytes: [UInt8], tag: Tag, from member: Member, _ connection: Connection, _ quota: PublisherQuota?
  ) -> MessageStream.PublishResult? {
    guard let name = presence.name(of: member, connection) else { return nil }
    return stream.publish(
      bytes, tag: tag, from: member, named: name, .connection(connection, room: self.name), quota,
      to: presence.audience)
  }

  /// Publishes a message of the program, or a change of a message. Calls `done` with the position when it is known. If
  /// the message to change is not stored, calls `done` with an error and returns nil.
  mutating func publish(
    _ message: ProgramMessage, _ bytes: [UInt8], from member: Member, _ quota: PublisherQuota?,
    _ done: @escaping @Sendable (Result<StreamPosition, ChatError>) -> Void
  ) -> MessageStream.PublishResult? {
    let (name, tag) = (message.name, message.tag)
    guard let target = message.entry.target else {
      return stream.publish(bytes, tag: tag, from: member, named: name, .program([done]), quota, to: presence.audience)
    }
    guard stream.author(at: target) != nil else {
      done(.failure(ChatError(.historyGone, "the message is not stored, or has been removed")))
      return nil
    }
    let change = stream.change(message.entry, bytes, tag: tag.text, by: member, named: name)
    return stream.publish(change: change, .program([done]), quota, to: presence.audience) ? .pending : .published
  }

  /// Returns the reason why a member may not change a message; nil if the change is allowed. `isModerator` allows every
  /// change; callers set it only for removals.
  func problem(of entry: EntryKind, by member: Member, isModerator: Bool) -> ChatRoom.ChangeProblem? {
    guard let message = entry.target.flatMap({ stream.author(at: $0) }) else { return .notStored }
    if isModerator { return nil }
    guard message.member == member else { return .notAllowed }
    let maxAge = options.maxChangeAge.components.seconds * 1000
    return maxAge > 0 && WallClock.milliseconds - message.time <= maxAge ? nil : .tooLate
  }

  /// Publishes a client's change of a message. The caller has checked that the change is allowed. Returns whether the
  /// change is pending; nil if another connection has replaced this one.
  mutating func publish(
    _ entry: EntryKind, _ bytes: [UInt8], by member: Member, _ connection: Connection, _ quota: PublisherQuota?
  ) -> Bool? {
    guard let name = presence.name(of: member, connection) else { return nil }
    let draft = stream.change(entry, bytes, by: member, named: name)
    return stream.publish(change: draft, nil, quota, to: presence.audience)
  }

  mutating func observe(_ observer: ObjectIdentifier, _ wake: @escaping @Sendable () -> Void) {
    stream.observe(observer, isOpen: isOpen, wake)
  }

  func start(of observer: ObjectIdentifier) -> StreamPosition? { stream.start(of: observer) }

  mutating func stopObserving(_ observer: ObjectIdentifier) { stream.stopObserving(observer) }

  /// Returns a page of the history for the program.
  mutating func page(after: StreamPosition?, before: StreamPosition?, count: Int) throws(ChatError) -> HistoryPage {
    let page = try stream.page(after: after, before: before, count: count)
    let end = stream.end
    return HistoryPage(
      messages: page.messages.compactMap { ChatMessage($0, epoch: end.epoch) }, hasMore: page.more, end: end)
  }

  var memberList: MemberList { MemberList(names: presence.names(.max), count: presence.count) }

  mutating func append(_ publications: [Publication], _ forms: [BroadcastLog.CompressedForms?]) {
    for (publication, forms) in zip(publications, forms) {
      stream.append(publication, forms, to: presence.audience)
    }
    stream.resumeCaughtUp()
  }

  mutating func reject(_ drafts: [Draft]) { stream.reject(drafts) }

  mutating func page(_ request: ClientEvent.HistoryRequest) -> HistoryEvent? { stream.page(request) }

  mutating func hasCaughtUp(
    with hello: ClientEvent.Hello, _ connection: Connection, _ resume: @escaping @Sendable () -> Void
  ) -> Bool {
    stream.hasCaughtUp(with: hello, connection, resume)
  }

  mutating func stopWaiting(_ connection: Connection) { stream.stopWaiting(connection) }

  // MARK: Memory

  /// Whether the room has stored messages.
  var hasHistory: Bool { !stream.isEmpty }

  mutating func drop(_ count: Int) { stream.drop(count) }

  /// Maximum memory of a vacant room beside its history: the room, its logs and tables.
  static let vacantOverhead = 4 << 10
  private var vacantBytes: Int { RoomState.vacantOverhead + name.utf8.count }

  mutating func setVacant(_ isVacant: Bool) {
    guard self.isVacant != isVacant else { return }
    self.isVacant = isVacant
    budget.add(isVacant ? vacantBytes : -vacantBytes)
    if isVacant { stream.shrink() }
  }

  /// Memory that the budget includes for the room.
  var budgetedBytes: Int { stream.bytes + (isVacant ? vacantBytes : 0) }
}
