/// Who is in a room, on one of the servers that share it.
public struct Attendance: Sendable, Equatable, Codable {
  /// The most people in ``people``; more are only counted.
  public static let maxPeople = 1000

  /// Those of the rich protocol.
  public let people: [Person]
  /// Everyone, with those of the plain protocol.
  public let count: Int

  /// Somebody who has a name.
  public struct Person: Sendable, Equatable, Codable {
    /// The name.
    public let name: String
    /// What proves to any server that a client is this person: nobody else may see it.
    public let session: String
    /// A number that is higher for each connection that speaks for the person: the server of the newest one is right.
    public let visits: Int

    init(_ name: Name, _ session: Session, visits: Int) {
      (self.name, self.session, self.visits) = (name.text, session.text, visits)
    }
  }

  /// Nobody.
  public static let none = Attendance(people: [], count: 0)

  init(people: [Person], count: Int) { (self.people, self.count) = (people, count) }
}

/// Those who are in a room on other servers.
struct Others {
  struct Person {
    let name: Name
    let session: Session
    let visits: Int
  }
  private struct Server {
    var count = 0
    /// By the text of their session, so that each is read once.
    var people: [String: (told: Attendance.Person, session: Session)] = [:]
  }
  /// What an update has changed.
  struct Change {
    /// Names that have come or gone.
    var names: Set<Name> = []
    var members: Set<Member> = []
  }
  /// The most connections of one server that are believed.
  private static let maxCount = 1 << 32

  private let room: String
  private var servers: [String: Server] = [:]
  /// What each server says of a member. One that has come to another server is at both for a moment.
  private var places: [Member: [String: Person]] = [:]
  /// What the server with the newest connection of each says.
  private var people: [Member: Person] = [:]
  /// By what makes a name unique.
  private var members: [String: Set<Member>] = [:]

  /// Names, each with the number of those who have it.
  private(set) var names: [Name: Int] = [:]
  private(set) var count = 0

  init(room: String) { self.room = room }

  /// Takes what a server has told. The work grows with the people of that server that have changed, and a look at each.
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

  /// Sets what a server says of somebody.
  private mutating func set(_ told: Attendance.Person?, _ session: Session, at server: String, _ change: inout Change) {
    let person = told.flatMap { told in
      Name(told.name, limit: Name.greatestLimit).map { Person(name: $0, session: session, visits: told.visits) }
    }
    let member = session.member
    let before = places[member]?.count ?? 0
    places[member, default: [:]][server] = person
    if places[member]?.isEmpty == true { places[member] = nil }
    let after = places[member]?.count ?? 0
    // A member is counted once, however many servers have it.
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

  /// Who has that session; the whole of it is compared.
  func person(_ session: Session) -> Person? {
    people[session.member].flatMap { $0.session.isSame(as: session) ? $0 : nil }
  }

  /// Whether somebody is this member.
  func has(_ member: Member) -> Bool { people[member] != nil }

  /// Whether the name is that of another session.
  func isTaken(_ name: Name, exceptBy member: Member?) -> Bool {
    members[name.key]?.contains { $0 != member } ?? false
  }
}
