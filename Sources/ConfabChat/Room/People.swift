internal import Confab

/// Those who have a name in a room, each with the connection that speaks for them, and those on other servers.
struct People<Connection: AnyObject> {
  struct Person {
    var name: Name
    let session: Session
    var connection: Connection
    /// See ``Attendance/Person/visits``.
    var visits: Int
  }
  private let room: String
  private var people: [Member: Person] = [:]
  /// By what makes a name unique.
  private var members: [String: Member] = [:]
  private var others: Others
  /// Those who have come here from another server just now, and are still there as well, as far as that has told.
  private var both: Set<Member> = []

  init(room: String) { (self.room, others) = (room, Others(room: room)) }

  /// Those who are here; so is what follows.
  var count: Int { people.count }
  var isEmpty: Bool { people.isEmpty }

  var connections: some Sequence<Connection> { people.values.lazy.map(\.connection) }

  /// How many there are on other servers, but for those who have come from there just now.
  var otherCount: Int { others.count - both.count }

  /// At most `limit` names, wherever they are, in no order.
  func names(_ limit: Int) -> [String] {
    let here = people.values.prefix(limit).map(\.name.text)
    return here + others.names.keys.lazy.filter { !isHere($0) }.map(\.text).prefix(limit - here.count)
  }

  func isPresent(_ name: Name) -> Bool { isHere(name) || others.names[name] != nil }

  func isHere(_ name: Name) -> Bool { members[name.key].flatMap { people[$0] }?.name == name }

  /// The person that `connection` speaks for: nobody when another one has taken over.
  func person(_ member: Member, of connection: Connection) -> Person? {
    people[member].flatMap { $0.connection === connection ? $0 : nil }
  }

  /// Whether the name is somebody else's than the member's.
  private func isTaken(_ name: Name, exceptBy member: Member?) -> Bool {
    members[name.key].map { $0 != member } ?? others.isTaken(name, exceptBy: member)
  }

  /// The connection that speaks here for the member with this session; nil if there is none.
  func connection(of session: Session) -> Connection? {
    people[session.member].flatMap { $0.session.isSame(as: session) ? $0.connection : nil }
  }

  /// How somebody has come.
  struct Entry {
    let session: Session
    /// The connection that it was there by already, which speaks for nobody any more.
    var replaced: Connection?
    /// The name that it had there, if that was another one.
    var renamed: Name?
    /// Whether it was there, here or on another server.
    var isKnown = false
  }

  /// Lets somebody in, or takes the place of the connection that has the same session. Nil when the name is taken.
  ///
  /// A session that nobody has is the client's own from now on. Another one would be lost with the welcome that tells of
  /// it, and the client would find its name taken, by itself.
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

  /// The time, so that a server that has not heard of an older connection is right about who has the newest one.
  private static func visits(after last: Int) -> Int {
    max(min(last, .max - 1) + 1, Int(WallClock.milliseconds))
  }

  /// Takes what another server has told, and returns the names that have come or gone by it, and the connections of those
  /// here who have come back there: these speak for nobody any more.
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

  /// Notes whether somebody who is here is elsewhere, too.
  private mutating func note(_ session: Session) {
    if others.person(session) != nil { both.insert(session.member) } else { both.remove(session.member) }
  }

  private mutating func remove(_ member: Member, _ name: Name) {
    people[member] = nil
    members[name.key] = nil
    both.remove(member)
    // Their memory goes with the last one.
    if people.isEmpty { (people, members) = ([:], [:]) }
  }

  /// What other servers are to know.
  var attendance: [Attendance.Person] {
    people.values.prefix(Attendance.maxPeople).map { Attendance.Person($0.name, $0.session, visits: $0.visits) }
  }

  /// Gives a person another name, and returns the old one; nil when it is taken by somebody else.
  mutating func rename(_ member: Member, to name: Name) -> Name? {
    guard let old = people[member]?.name, !isTaken(name, exceptBy: member) else { return nil }
    members[old.key] = nil
    members[name.key] = member
    people[member]?.name = name
    return old
  }

  /// Lets the person go that `connection` speaks for; nil if there is none such.
  mutating func leave(_ member: Member, _ connection: Connection) -> Name? {
    guard let person = person(member, of: connection) else { return nil }
    remove(member, person.name)
    return person.name
  }

  /// A name like the one that is taken, which nobody has.
  func proposal(for name: Name) -> Name? {
    // Where many have had this proposed, a number that is probably free is quicker found than the next one.
    let numbers = Array(2...9) + [99, 999, 9999, 999_999].map { Int.random(in: 10...$0) }
    return numbers.lazy.compactMap { name.numbered($0) }.first { !isTaken($0, exceptBy: nil) }
  }
}
