internal import Confab

/// The presence in a room: its connections on this server, its named members on all servers, and the changes to report.
struct RoomPresence {
  /// Minimum interval between presence events.
  private static let eventInterval = Duration.milliseconds(200)

  private let room: String
  private let logs: RoomLogs
  /// Informed of changes, for other servers; nil while the room is being made.
  private var engine: (any EngineRoom)?
  /// Calls ``sendEvent(on:)`` of the room.
  private var sendEvent: @Sendable (EventLoop) -> Void = { _ in }
  private var members: RoomMembers<Connection>
  /// Connections of the plain protocol.
  private var plain: [ObjectIdentifier: Connection] = [:]
  /// Connections of members that have entered the room, so that their events have the member `room`.
  private var entered: Set<ObjectIdentifier> = []
  private var changes = PresenceChanges()
  /// Time of the next presence event; nil if none is pending.
  private var eventDue: ContinuousClock.Instant?
  /// Version that rises when a member joins, leaves or is renamed.
  private var version = 0
  /// Whether the engine has been informed of the change since its last query.
  private var isEngineInformed = false
  /// Calls of the program that wait for changes of members.
  private var watchers: [ObjectIdentifier: @Sendable () -> Void] = [:]

  init(room: String, _ logs: RoomLogs) { (self.room, self.logs, members) = (room, logs, RoomMembers(room: room)) }

  mutating func attach(_ engine: any EngineRoom, sendEvent: @escaping @Sendable (EventLoop) -> Void) {
    (self.engine, self.sendEvent) = (engine, sendEvent)
  }

  /// Number of members on all servers.
  var count: Int { members.count + plain.count + members.remoteCount }

  var audience: Audience {
    Audience(hasPlain: !plain.isEmpty, hasRich: !members.isEmpty, hasEntered: !entered.isEmpty)
  }

  /// All connections of the room.
  var connections: [Connection] { Array(plain.values) + Array(members.connections) }

  func find(_ query: MemberQuery) -> FoundMember? { members.find(query) }

  func names(_ limit: Int) -> [String] { members.names(limit) }

  /// The members on all servers.
  var all: [RoomMember] { members.all }

  /// Sets the function to call when the members may have changed; nil removes it.
  mutating func watch(_ watcher: ObjectIdentifier, _ wake: (@Sendable () -> Void)?) {
    watchers[watcher] = wake
    if watchers.isEmpty { watchers = [:] }
  }

  private func wakeWatchers() { for wake in watchers.values { wake() } }

  /// Returns the name of the member that `connection` belongs to; nil if another connection has replaced it.
  func name(of member: Member, _ connection: Connection) -> Name? { members.member(member, of: connection)?.name }

  // MARK: Plain connections

  mutating func add(_ connection: Connection) {
    plain[ObjectIdentifier(connection)] = connection
    countChanged(connection.loop)
  }

  mutating func remove(_ connection: Connection) {
    plain[ObjectIdentifier(connection)] = nil
    if plain.isEmpty { plain = [:] }
    countChanged(connection.loop)
  }

  private mutating func countChanged(_ loop: EventLoop) {
    informEngine()
    if members.isEmpty { return }
    changes.countChanged()
    scheduleEvent(on: loop)
  }

  // MARK: Members

  /// Adds a client by name. Returns nil if a newer connection has the client's session: a hello that had to wait may be
  /// handled after the hello of the newer connection.
  ///
  /// - Parameter isEntered: whether the client has entered the room with the event `enter`.
  mutating func join(
    _ name: Name, _ session: Session?, owner: String?, _ account: MemberAccount, _ connection: Connection,
    isEntered: Bool
  ) throws(ChatRoom.NameTaken) -> RoomMembers<Connection>.Join? {
    if let session, let other = members.connection(of: session), other.id > connection.id { return nil }
    guard let join = members.join(name, as: connection, session: session, owner: owner, account) else {
      throw nameTaken(name)
    }
    if isEntered { entered.insert(ObjectIdentifier(connection)) }
    informEngine()
    if let old = join.oldName { changes.renamed(old, to: name) }
    if let displaced = join.displaced { wasDisplaced(displaced) }
    if !join.isReturning { if join.sharesName { changes.countChanged() } else { changes.changed(name) } }
    scheduleEvent(on: connection.loop)
    return join
  }

  /// Renames a member. Returns false if another connection has replaced this one.
  mutating func rename(
    _ member: Member, to name: Name, _ connection: Connection
  ) throws(ChatRoom.NameTaken) -> Bool {
    guard members.member(member, of: connection) != nil else { return false }
    guard let old = members.rename(member, to: name) else { throw nameTaken(name) }
    if old == name { return true }
    informEngine()
    changes.renamed(old, to: name)
    scheduleEvent(on: connection.loop)
    return true
  }

  private func nameTaken(_ name: Name) -> ChatRoom.NameTaken {
    ChatRoom.NameTaken(proposal: members.proposal(for: name)?.text)
  }

  /// Removes a member, unless the connection has been replaced.
  mutating func leave(_ member: Member, _ connection: Connection) {
    entered.remove(ObjectIdentifier(connection))
    if entered.isEmpty { entered = [] }
    guard let name = members.leave(member, connection) else { return }
    informEngine()
    // Another connection of the user may still have the name.
    if members.isPresent(name) { changes.countChanged() } else { changes.changed(name) }
    scheduleEvent(on: connection.loop)
  }

  /// Reports that a verified user has taken over the name of a member.
  private mutating func wasDisplaced(_ displaced: RoomMembers<Connection>.Displaced) {
    let (connection, name) = (displaced.connection, displaced.name)
    changes.renamed(displaced.oldName, to: name)
    connection.loop.execute { [room] in
      (connection.handlerState as? RichConnection)?.wasDisplaced(name, inRoom: room, connection)
    }
  }

  /// Returns an event of the room as JSON, for the connection of a member.
  func json(of event: some ServerEvent, for connection: Connection) -> [UInt8] {
    let json = event.json
    return entered.contains(ObjectIdentifier(connection)) ? logs.withRoom(json[...]) : json
  }

  /// Informs all members that a user on this server is typing.
  func typing(_ member: Member, _ connection: Connection) {
    guard let name = name(of: member, connection) else { return }
    logs.append(TypingEvent(name: name.text), to: audience)
    engine?.typing(name.text)
  }

  // MARK: Other servers

  /// Records a change. Informs the engine, unless the engine has not yet queried an earlier change.
  private mutating func informEngine() {
    version += 1
    wakeWatchers()
    if isEngineInformed { return }
    isEngineInformed = true
    engine?.presenceChanged()
  }

  /// Returns the members on this server; nil if `version` is still current.
  mutating func report(unless version: Int) -> (presence: ServerPresence, version: Int)? {
    isEngineInformed = false
    guard self.version != version else { return nil }
    return (ServerPresence(members: members.report, count: members.count + plain.count), self.version)
  }

  /// Sets the members on another server. Returns the connections of members that have moved there.
  mutating func update(_ server: String, _ presence: ServerPresence) -> [Connection] {
    let oldCount = count
    let (changed, replaced, displaced) = members.update(server, presence)
    if !replaced.isEmpty || !displaced.isEmpty { informEngine() }
    for displaced in displaced { wasDisplaced(displaced) }
    for name in changed { changes.changed(name) }
    wakeWatchers()
    if count != oldCount { changes.countChanged() }
    // Presence events go only to members on this server.
    if let loop = members.connections.first(where: { _ in true })?.loop { scheduleEvent(on: loop) }
    return replaced
  }

  // MARK: Events

  /// Schedules a presence event for all changes until then, if there are any.
  private mutating func scheduleEvent(on loop: EventLoop) {
    guard changes.hasChanges else { return }
    let now = ContinuousClock.now
    // A loop may have stopped before it sent the event.
    if let eventDue, now < eventDue + .seconds(1) { return }
    let isScheduled = loop.execute(after: RoomPresence.eventInterval) { [sendEvent] in sendEvent(loop) }
    eventDue = isScheduled ? now + RoomPresence.eventInterval : nil
  }

  /// Sends the scheduled event. Changes that do not fit into it are scheduled for the next one.
  mutating func sendEvent(on loop: EventLoop) {
    eventDue = nil
    if changes.hasChanges && !members.isEmpty {
      logs.append(changes.take(count: count) { [members] in members.isPresent($0) }, to: audience)
    } else {
      changes = PresenceChanges()
    }
    scheduleEvent(on: loop)
  }
}
