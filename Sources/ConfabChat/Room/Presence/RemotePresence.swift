/// The members of a room on other servers.
struct RemotePresence {
  struct RemoteMember {
    let name: Name
    let session: Session
    let connectionNumber: Int
    let owner: String?
    let account: MemberAccount
  }
  private struct RemoteServer {
    var count = 0
    /// Members by the text of their session, so that each session is parsed once.
    var members: [String: (report: MemberPresence, session: Session)] = [:]
  }
  /// Changes made by an update.
  struct Difference {
    /// Names that have joined or left.
    var names: Set<Name> = []
    var members: Set<Member> = []
  }
  /// Maximum member count accepted from one server.
  private static let maxCount = 1 << 32

  private let room: String
  private var servers: [String: RemoteServer] = [:]
  /// Reports about each member, by server. A member that moves between servers is briefly reported by both.
  private var reports: [Member: [String: RemoteMember]] = [:]
  /// Newest report about each member, from the server with the member's newest connection.
  private var members: [Member: RemoteMember] = [:]
  /// Members by the unique key of their name.
  private var membersByKey: [String: Set<Member>] = [:]

  /// Names, each with the number of members that have it.
  private(set) var names: [Name: Int] = [:]
  private(set) var count = 0

  init(room: String) { self.room = room }

  /// Applies a server's report. The cost grows with the changed members of that server, plus one lookup for each
  /// member.
  @discardableResult
  mutating func update(_ server: String, _ presence: ServerPresence) -> Difference {
    let old = servers[server] ?? RemoteServer()
    var new = RemoteServer(count: max(0, min(presence.count, RemotePresence.maxCount)))
    var difference = Difference()
    let reported = new.count > 0 ? presence.members.prefix(ServerPresence.maxMembers) : []
    for report in reported where new.members[report.session] == nil && report.name.utf8.count <= Name.maxBytes {
      let known = old.members[report.session]
      guard let session = known?.session ?? Session(report.session, in: room) else { continue }
      new.members[report.session] = (report, session)
      if known?.report != report { set(report, session, at: server, &difference) }
    }
    for (text, member) in old.members where new.members[text] == nil {
      set(nil, member.session, at: server, &difference)
    }
    new.count = max(new.count, new.members.count)
    count += new.count - old.count
    servers[server] = new.count > 0 ? new : nil
    return difference
  }

  /// Sets a server's report about a member.
  private mutating func set(
    _ report: MemberPresence?, _ session: Session, at server: String, _ difference: inout Difference
  ) {
    let reported = report.flatMap { report in
      Name(report.name, limit: Name.greatestLimit).map {
        RemoteMember(
          name: $0, session: session, connectionNumber: report.connectionNumber, owner: report.owner,
          account: report.account ?? MemberAccount())
      }
    }
    let member = session.member
    let before = reports[member]?.count ?? 0
    reports[member, default: [:]][server] = reported
    if reports[member]?.isEmpty == true { reports[member] = nil }
    let after = reports[member]?.count ?? 0
    // A member counts once, however many servers report it.
    count += max(before - 1, 0) - max(after - 1, 0)
    difference.members.insert(member)
    let newest = reports[member]?.max {
      ($0.value.connectionNumber, $1.key) < ($1.value.connectionNumber, $0.key)
    }?.value
    if let old = members[member] { remove(old.name, of: member, &difference) }
    if let newest { add(newest.name, of: member, &difference) }
    members[member] = newest
  }

  private mutating func add(_ name: Name, of member: Member, _ difference: inout Difference) {
    membersByKey[name.key, default: []].insert(member)
    names[name, default: 0] += 1
    if names[name] == 1 { difference.names.formSymmetricDifference([name]) }
  }

  private mutating func remove(_ name: Name, of member: Member, _ difference: inout Difference) {
    membersByKey[name.key]?.remove(member)
    if membersByKey[name.key]?.isEmpty == true { membersByKey[name.key] = nil }
    names[name, default: 0] -= 1
    guard names[name] == 0 else { return }
    names[name] = nil
    difference.names.formSymmetricDifference([name])
  }

  /// Returns the member with this session. The whole session is compared.
  func member(with session: Session) -> RemoteMember? {
    members[session.member].flatMap { $0.session.isSame(as: session) ? $0 : nil }
  }

  func member(_ member: Member) -> RemoteMember? { members[member] }

  var all: [RoomMember] {
    members.map { RoomMember(id: $0.key, name: $0.value.name.text, user: $0.value.account.user) }
  }

  func member(named name: Name) -> RemoteMember? { membersByKey[name.key]?.first.flatMap { members[$0] } }

  /// Returns whether this member is on another server.
  func has(_ member: Member) -> Bool { members[member] != nil }

  /// Returns whether another member than `member` has the name and keeps it. A name that the user `owner` has verified
  /// is not kept by other connections of this user, nor by members that have not verified it.
  func isTaken(_ name: Name, exceptBy member: Member?, for owner: String? = nil) -> Bool {
    membersByKey[name.key]?.contains {
      $0 != member && !NameOwner.mayTake(from: members[$0]?.owner, owner)
    } ?? false
  }

  /// Returns whether a verified user has the name.
  func isVerified(_ name: Name) -> Bool {
    membersByKey[name.key]?.contains { members[$0]?.owner != nil } ?? false
  }
}
