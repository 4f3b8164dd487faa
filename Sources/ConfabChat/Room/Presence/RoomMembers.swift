internal import Confab

/// The members with a name in a room: on this server, each with its connection, and on other servers.
struct RoomMembers<Connection: AnyObject> {
  struct LocalMember {
    var name: Name
    let session: Session
    var connection: Connection
    /// Number that rises with each connection of the member.
    var connectionNumber: Int
    /// ``Identity/id`` of the user, if the name is verified.
    var owner: String?
    /// The account of the newest connection.
    var account: MemberAccount
  }
  private let room: String
  private var local: [Member: LocalMember] = [:]
  private var holders = NameHolders()
  private var remote: RemotePresence
  /// Members on this server that another server still reports, because they have just moved.
  private var moved: Set<Member> = []

  init(room: String) { (self.room, remote) = (room, RemotePresence(room: room)) }

  /// Number of members on this server.
  var count: Int { local.count }
  /// Whether this server has no members.
  var isEmpty: Bool { local.isEmpty }

  var connections: some Sequence<Connection> { local.values.lazy.map(\.connection) }

  /// Number of members on other servers, except those that have just moved here.
  var remoteCount: Int { remote.count - moved.count }

  /// Returns at most `limit` names of all servers, in no order.
  func names(_ limit: Int) -> [String] {
    let here = holders.unique.prefix(limit).compactMap { local[$0]?.name.text }
    return here + remote.names.keys.lazy.filter { !isHere($0) }.map(\.text).prefix(limit - here.count)
  }

  func isPresent(_ name: Name) -> Bool { isHere(name) || remote.names[name] != nil }

  private func isHere(_ name: Name) -> Bool {
    if holders.areShared { return holders.all(name.key).contains { local[$0]?.name == name } }
    return holders[name.key].flatMap { local[$0] }?.name == name
  }

  /// Returns the member that `connection` belongs to; nil if another connection has replaced it.
  func member(_ member: Member, of connection: Connection) -> LocalMember? {
    local[member].flatMap { $0.connection === connection ? $0 : nil }
  }

  /// Returns whether another member than `member` has the name and keeps it, see
  /// ``RemotePresence/isTaken(_:exceptBy:for:)``.
  private func isTaken(_ name: Name, exceptBy member: Member?, for owner: String? = nil) -> Bool {
    holders[name.key].map { $0 != member && !NameOwner.mayTake(from: local[$0]?.owner, owner) }
      ?? remote.isTaken(name, exceptBy: member, for: owner)
  }

  /// Returns the connection of the member with this session; nil if the member is not on this server.
  func connection(of session: Session) -> Connection? {
    local[session.member].flatMap { $0.session.isSame(as: session) ? $0.connection : nil }
  }

  /// Result of a join.
  struct Join {
    let session: Session
    /// The member's previous connection, now replaced.
    var replaced: Connection?
    /// The member's previous name, if it was different.
    var oldName: Name?
    /// Whether the member was in the room, here or on another server.
    var isReturning = false
    /// Whether another connection of the user has the name, too.
    var sharesName = false
    /// The member that had the verified name before.
    var displaced: Displaced?
  }

  /// A member whose name a verified user has taken over.
  struct Displaced {
    let connection: Connection
    let oldName: Name
    let name: Name
  }

  /// Adds a client, or replaces the connection with the same session. Nil if the name is taken.
  ///
  /// The client keeps the session that it proposes, if this session is unused. If the server made a session instead and
  /// its welcome were lost, the returning client would find its own name taken.
  ///
  /// - Parameter owner: the user, if the name is verified.
  mutating func join(
    _ name: Name, as connection: Connection, session: Session?, owner: String? = nil,
    _ account: MemberAccount = MemberAccount()
  ) -> Join? {
    guard let displaced = makeRoom(for: name, owner, exceptBy: session) else { return nil }
    if let session, let member = local[session.member], member.session.isSame(as: session),
      NameOwner.isFree(of: member.owner, for: owner)
    {
      guard let old = rename(session.member, to: name, owner) else { return nil }
      local[session.member]?.connection = connection
      local[session.member]?.account = account
      local[session.member]?.connectionNumber = RoomMembers.connectionNumber(after: member.connectionNumber)
      return Join(
        session: member.session, replaced: member.connection, oldName: old == name ? nil : old, isReturning: true,
        displaced: displaced.first)
    }
    let found = session.flatMap { remote.member(with: $0) }
    let elsewhere = found.flatMap { NameOwner.isFree(of: $0.owner, for: owner) ? $0 : nil }
    guard !isTaken(name, exceptBy: elsewhere?.session.member, for: owner) else { return nil }
    let own = session.flatMap { local[$0.member] == nil && !remote.has($0.member) ? $0 : nil }
    let session = elsewhere?.session ?? own ?? Session(in: room)
    let sharesName = isHere(name)
    local[session.member] = LocalMember(
      name: name, session: session, connection: connection,
      connectionNumber: RoomMembers.connectionNumber(after: elsewhere?.connectionNumber ?? 0), owner: owner,
      account: account)
    holders.add(session.member, name.key)
    updateMoved(session)
    let oldName = elsewhere.flatMap { $0.name == name ? nil : $0.name }
    return Join(
      session: session, oldName: oldName, isReturning: elsewhere != nil, sharesName: sharesName,
      displaced: displaced.first)
  }

  /// Returns a number that is above `last` and at least the current time. So the newest connection has the highest
  /// number, even if its server does not know the earlier connections.
  private static func connectionNumber(after last: Int) -> Int {
    max(min(last, .max - 1) + 1, Int(WallClock.milliseconds))
  }

  /// Applies another server's report. Returns the names that have joined or left, the replaced connections of members
  /// that have moved to that server, and the members that lose their name to a verified user of that server.
  mutating func update(
    _ server: String, _ presence: ServerPresence
  ) -> (changed: Set<Name>, replaced: [Connection], displaced: [Displaced]) {
    let difference = remote.update(server, presence)
    var replaced: [Connection] = []
    for member in difference.members {
      guard let here = local[member] else { continue }
      updateMoved(here.session)
      guard let there = remote.member(with: here.session), there.connectionNumber > here.connectionNumber else {
        continue
      }
      remove(member, here.name)
      replaced.append(here.connection)
    }
    let displaced = difference.names.filter { remote.isVerified($0) }.compactMap { displace($0) }
    return (difference.names.filter { !isHere($0) }, replaced, displaced)
  }

  /// Records whether a member of this server is also on another server.
  private mutating func updateMoved(_ session: Session) {
    if remote.member(with: session) != nil { moved.insert(session.member) } else { moved.remove(session.member) }
  }

  private mutating func remove(_ member: Member, _ name: Name) {
    local[member] = nil
    holders.remove(member, name.key)
    moved.remove(member)
    // Frees the memory with the last member.
    if local.isEmpty { (local, holders) = ([:], NameHolders()) }
  }

  /// The members reported to other servers.
  var report: [MemberPresence] {
    local.values.prefix(ServerPresence.maxMembers).map {
      MemberPresence(
        $0.name, $0.session, connectionNumber: $0.connectionNumber, owner: $0.owner, account: $0.account)
    }
  }

  /// The members on all servers. A member that has moved between servers is included once.
  var all: [RoomMember] {
    let here = local.map { RoomMember(id: $0.key, name: $0.value.name.text, user: $0.value.account.user) }
    return here + remote.all.filter { local[$0.id] == nil }
  }

  /// Returns a member on any server.
  func find(_ query: MemberQuery) -> FoundMember? {
    switch query {
    case .name(let name):
      if let member = holders[name.key].flatMap({ local[$0] }) { return found(member) }
      return remote.member(named: name).map { found($0) }
    case .member(let member):
      return local[member].map { found($0) } ?? remote.member(member).map { found($0) }
    }
  }

  private func found(_ member: LocalMember) -> FoundMember {
    FoundMember(name: member.name, guest: member.session.guest, account: member.account)
  }

  private func found(_ member: RemotePresence.RemoteMember) -> FoundMember {
    FoundMember(name: member.name, guest: member.session.guest, account: member.account)
  }

  /// Renames a member and returns its old name; nil if another member has the name.
  ///
  /// - Parameter owner: the user, if the new name is verified.
  mutating func rename(_ member: Member, to name: Name, _ owner: String? = nil) -> Name? {
    guard let old = local[member]?.name, !isTaken(name, exceptBy: member, for: owner) else { return nil }
    holders.remove(member, old.key)
    holders.add(member, name.key)
    local[member]?.name = name
    local[member]?.owner = owner
    return old
  }

  /// Gives another name to the member of this server that has `name` without having verified it. Returns nil if the
  /// name does not have such a member, or if no other name is free.
  private mutating func displace(_ name: Name) -> Displaced? {
    guard let holder = holders[name.key].flatMap({ local[$0] }), holder.owner == nil,
      let free = proposal(for: holder.name), rename(holder.session.member, to: free) != nil
    else { return nil }
    return Displaced(connection: holder.connection, oldName: holder.name, name: free)
  }

  /// Makes a name available to the user `owner`, who has verified it: displaces a member that has not verified the
  /// name, unless the member has this session. Returns the displaced member, if any; nil if the name is taken.
  private mutating func makeRoom(for name: Name, _ owner: String?, exceptBy session: Session?) -> [Displaced]? {
    guard owner != nil, let holder = holders[name.key].flatMap({ local[$0] }), holder.owner == nil else { return [] }
    if let session, holder.session.isSame(as: session) { return [] }
    if remote.isTaken(name, exceptBy: session?.member, for: owner) { return nil }
    return displace(name).map { [$0] }
  }

  /// Removes the member that `connection` belongs to, and returns its name; nil if another connection has replaced this
  /// one.
  mutating func leave(_ member: Member, _ connection: Connection) -> Name? {
    guard let leaving = self.member(member, of: connection) else { return nil }
    remove(member, leaving.name)
    return leaving.name
  }

  /// Returns a free name similar to `name`.
  func proposal(for name: Name) -> Name? {
    // If many numbers are taken, random ones find a free name faster than counting does.
    let numbers = Array(2...9) + [99, 999, 9999, 999_999].map { Int.random(in: 10...$0) }
    return numbers.lazy.compactMap { name.numbered($0) }.first { !isTaken($0, exceptBy: nil) }
  }
}
