/// The members of a room on one of the servers that share it.
public struct Attendance: Sendable, Equatable, Codable {
  /// Maximum number of ``people``. Further members are only counted.
  public static let maxPeople = 1000

  /// The members of the rich protocol.
  public let people: [Person]
  /// Number of all members, including those of the plain protocol.
  public let count: Int

  /// A member with a name.
  public struct Person: Sendable, Equatable, Codable {
    /// The name.
    public let name: String
    /// Secret that proves to any server that a client is this member. Only servers may see it.
    public let session: String
    /// Number that rises with each connection of the member. The server with the highest number has the newest
    /// connection.
    public let visits: Int

    init(_ name: Name, _ session: Session, visits: Int) {
      (self.name, self.session, self.visits) = (name.text, session.text, visits)
    }
  }

  /// An empty room.
  public static let none = Attendance(people: [], count: 0)

  init(people: [Person], count: Int) { (self.people, self.count) = (people, count) }
}

/// The members of a room on other servers.
struct Others {
  struct Person {
    let name: Name
    let session: Session
    let visits: Int
  }
  private struct Server {
    var count = 0
    /// Members by the text of their session, so that each session is parsed once.
    var people: [String: (told: Attendance.Person, session: Session)] = [:]
  }
  /// Changes made by an update.
  struct Change {
    /// Names that have joined or left.
    var names: Set<Name> = []
    var members: Set<Member> = []
  }
  /// Maximum member count accepted from one server.
  private static let maxCount = 1 << 32

  private let room: String
  private var servers: [String: Server] = [:]
  /// Each member, as each server reports it. A member that moves between servers is briefly at both.
  private var places: [Member: [String: Person]] = [:]
  /// Each member, as the server with its newest connection reports it.
  private var people: [Member: Person] = [:]
  /// Members by the unique key of their name.
  private var members: [String: Set<Member>] = [:]

  /// Names, each with the number of members that have it.
  private(set) var names: [Name: Int] = [:]
  private(set) var count = 0

  init(room: String) { self.room = room }

  /// Applies a server's report. The cost grows with the changed members of that server, plus one lookup for each
  /// member.
  @discardableResult
  mutating func update(_ server: String, _ attendance: Attendance) -> Change {
    let old = servers[server] ?? Server()
    var new = Server(count: max(0, min(attendance.count, Others.maxCount)))
    var change = Change()
    let people = new.count > 0 ? attendance.people.prefix(Attendance.maxPeople) : []
    for person in people where new.people[person.session] == nil && person.name.utf8.count <= Name.maxBytes {
      let known = old.people[person.session]
      guard let session = known?.session ?? Session(person.session, in: room) else { continue }
      new.people[person.session] = (person, session)
      if known?.told != person { set(person, session, at: server, &change) }
    }
    for (text, person) in old.people where new.people[text] == nil {
      set(nil, person.session, at: server, &change)
    }
    new.count = max(new.count, new.people.count)
    count += new.count - old.count
    servers[server] = new.count > 0 ? new : nil
    return change
  }

  /// Sets what a server reports about a member.
  private mutating func set(_ told: Attendance.Person?, _ session: Session, at server: String, _ change: inout Change) {
    let person = told.flatMap { told in
      Name(told.name, limit: Name.greatestLimit).map { Person(name: $0, session: session, visits: told.visits) }
    }
    let member = session.member
    let before = places[member]?.count ?? 0
    places[member, default: [:]][server] = person
    if places[member]?.isEmpty == true { places[member] = nil }
    let after = places[member]?.count ?? 0
    // A member counts once, however many servers report it.
    count += max(before - 1, 0) - max(after - 1, 0)
    change.members.insert(member)
    let newest = places[member]?.max { ($0.value.visits, $1.key) < ($1.value.visits, $0.key) }?.value
    if let old = people[member] { remove(old.name, of: member, &change) }
    if let newest { add(newest.name, of: member, &change) }
    people[member] = newest
  }

  private mutating func add(_ name: Name, of member: Member, _ change: inout Change) {
    members[name.key, default: []].insert(member)
    names[name, default: 0] += 1
    if names[name] == 1 { change.names.formSymmetricDifference([name]) }
  }

  private mutating func remove(_ name: Name, of member: Member, _ change: inout Change) {
    members[name.key]?.remove(member)
    if members[name.key]?.isEmpty == true { members[name.key] = nil }
    names[name, default: 0] -= 1
    guard names[name] == 0 else { return }
    names[name] = nil
    change.names.formSymmetricDifference([name])
  }

  /// Returns the member with that session. The whole session is compared.
  func person(_ session: Session) -> Person? {
    people[session.member].flatMap { $0.session.isSame(as: session) ? $0 : nil }
  }

  /// Whether this member is on another server.
  func has(_ member: Member) -> Bool { people[member] != nil }

  /// Whether another session has the name.
  func isTaken(_ name: Name, exceptBy member: Member?) -> Bool {
    members[name.key]?.contains { $0 != member } ?? false
  }
}
