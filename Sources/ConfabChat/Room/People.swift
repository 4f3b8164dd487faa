internal import Confab

/// The members with a name in a room: on this server, each with its connection, and on other servers.
struct People<Connection: AnyObject> {
  struct Person {
    var name: Name
    let session: Session
    var connection: Connection
    /// Number that rises with each connection of the member.
    var visits: Int
  }
  private let room: String
  private var people: [Member: Person] = [:]
  /// Members by the unique key of their name.
  private var members: [String: Member] = [:]
  private var others: Others
  /// Members here that another server still reports, because they have just moved.
  private var both: Set<Member> = []

  init(room: String) { (self.room, others) = (room, Others(room: room)) }

  /// Number of members on this server.
  var count: Int { people.count }
  var isEmpty: Bool { people.isEmpty }

  var connections: some Sequence<Connection> { people.values.lazy.map(\.connection) }

  /// Number of members on other servers, except those that have just moved here.
  var otherCount: Int { others.count - both.count }

  /// Returns at most `limit` names of all servers, in no order.
  func names(_ limit: Int) -> [String] {
    let here = people.values.prefix(limit).map(\.name.text)
    return here + others.names.keys.lazy.filter { !isHere($0) }.map(\.text).prefix(limit - here.count)
  }

  func isPresent(_ name: Name) -> Bool { isHere(name) || others.names[name] != nil }

  func isHere(_ name: Name) -> Bool { members[name.key].flatMap { people[$0] }?.name == name }

  /// Returns the member that `connection` belongs to; nil if another connection has replaced it.
  func person(_ member: Member, of connection: Connection) -> Person? {
    people[member].flatMap { $0.connection === connection ? $0 : nil }
  }

  /// Whether another member has the name.
  private func isTaken(_ name: Name, exceptBy member: Member?) -> Bool {
    members[name.key].map { $0 != member } ?? others.isTaken(name, exceptBy: member)
  }

  /// Returns the connection of the member with this session; nil if there is none.
  func connection(of session: Session) -> Connection? {
    people[session.member].flatMap { $0.session.isSame(as: session) ? $0.connection : nil }
  }

  /// How a client has joined.
  struct Entry {
    let session: Session
    /// The member's previous connection, now replaced.
    var replaced: Connection?
    /// The member's previous name, if it was different.
    var renamed: Name?
    /// Whether the member was in the room, here or on another server.
    var isKnown = false
  }

  /// Adds a client, or replaces the connection with the same session. Nil if the name is taken.
  ///
  /// An unused session becomes the client's own. A session made by the server would be lost if the welcome that
  /// contains it were lost, and the client would then find its own name taken.
  mutating func enter(_ name: Name, as connection: Connection, session: Session?) -> Entry? {
    if let session, let person = people[session.member], person.session.isSame(as: session) {
      guard let old = rename(session.member, to: name) else { return nil }
      people[session.member]?.connection = connection
      people[session.member]?.visits = People.visits(after: person.visits)
      return Entry(
        session: person.session, replaced: person.connection, renamed: old == name ? nil : old, isKnown: true)
    }
    let elsewhere = session.flatMap { others.person($0) }
    guard !isTaken(name, exceptBy: elsewhere?.session.member) else { return nil }
    let own = session.flatMap { people[$0.member] == nil && !others.has($0.member) ? $0 : nil }
    let session = elsewhere?.session ?? own ?? Session(in: room)
    people[session.member] = Person(
      name: name, session: session, connection: connection, visits: People.visits(after: elsewhere?.visits ?? 0))
    members[name.key] = session.member
    note(session)
    let renamed = elsewhere.flatMap { $0.name == name ? nil : $0.name }
    return Entry(session: session, renamed: renamed, isKnown: elsewhere != nil)
  }

  /// The time is included, so that a server that missed an older connection still gives the newest one the highest
  /// number.
  private static func visits(after last: Int) -> Int {
    max(min(last, .max - 1) + 1, Int(WallClock.milliseconds))
  }

  /// Applies another server's report. Returns the names that have joined or left, and the replaced connections of
  /// members that have moved to that server.
  mutating func update(_ server: String, _ attendance: Attendance) -> (changed: Set<Name>, replaced: [Connection]) {
    let change = others.update(server, attendance)
    var replaced: [Connection] = []
    for member in change.members {
      guard let person = people[member] else { continue }
      note(person.session)
      guard let there = others.person(person.session), there.visits > person.visits else { continue }
      remove(member, person.name)
      replaced.append(person.connection)
    }
    return (change.names.filter { !isHere($0) }, replaced)
  }

  /// Records whether a member of this server is also on another one.
  private mutating func note(_ session: Session) {
    if others.person(session) != nil { both.insert(session.member) } else { both.remove(session.member) }
  }

  private mutating func remove(_ member: Member, _ name: Name) {
    people[member] = nil
    members[name.key] = nil
    both.remove(member)
    // Frees the memory with the last member.
    if people.isEmpty { (people, members) = ([:], [:]) }
  }

  /// The members reported to other servers.
  var attendance: [Attendance.Person] {
    people.values.prefix(Attendance.maxPeople).map { Attendance.Person($0.name, $0.session, visits: $0.visits) }
  }

  /// Renames a member and returns its old name; nil if another member has the name.
  mutating func rename(_ member: Member, to name: Name) -> Name? {
    guard let old = people[member]?.name, !isTaken(name, exceptBy: member) else { return nil }
    members[old.key] = nil
    members[name.key] = member
    people[member]?.name = name
    return old
  }

  /// Removes the member that `connection` belongs to, and returns its name; nil if there is none.
  mutating func leave(_ member: Member, _ connection: Connection) -> Name? {
    guard let person = person(member, of: connection) else { return nil }
    remove(member, person.name)
    return person.name
  }

  /// Returns a free name similar to the taken one.
  func proposal(for name: Name) -> Name? {
    // If many numbers are taken, random ones find a free name faster than counting does.
    let numbers = Array(2...9) + [99, 999, 9999, 999_999].map { Int.random(in: 10...$0) }
    return numbers.lazy.compactMap { name.numbered($0) }.first { !isTaken($0, exceptBy: nil) }
  }
}
