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
  /// The most connections of one server that are believed.
  private static let maxCount = 1 << 32

  private let room: String
  private var servers: [String: Attendance] = [:]
  /// By their text, so that each is read once.
  private var sessions: [String: Session] = [:]
  private var people: [Member: Person] = [:]
  /// By what makes a name unique.
  private var members: [String: Member] = [:]

  private(set) var names: Set<Name> = []
  private(set) var count = 0

  init(room: String) { self.room = room }

  private mutating func session(_ text: String, _ before: [String: Session]) -> Session? {
    let session = before[text] ?? Session(text, in: room)
    sessions[text] = session
    return session
  }

  /// Takes what a server has told.
  mutating func update(_ server: String, _ attendance: Attendance) {
    guard servers[server] ?? .none != attendance else { return }
    servers[server] = attendance.count > 0 ? attendance : nil
    let before = sessions
    (people, members, names, sessions) = ([:], [:], [], [:])
    count = servers.values.reduce(0) { $0 + min($1.count, Others.maxCount) }
    for person in servers.values.lazy.flatMap(\.people) {
      guard let name = Name(person.name, limit: Name.greatestLimit), let session = session(person.session, before)
      else {
        continue
      }
      // Who has come to another server is at both for a moment.
      if let known = people[session.member] {
        count -= 1
        if known.visits >= person.visits { continue }
      }
      people[session.member] = Person(name: name, session: session, visits: person.visits)
    }
    for (member, person) in people {
      members[person.name.key] = member
      names.insert(person.name)
    }
  }

  /// Who has that session; the whole of it is compared.
  func person(_ session: Session) -> Person? {
    people[session.member].flatMap { $0.session.isSame(as: session) ? $0 : nil }
  }

  /// Whether somebody is this member.
  func has(_ member: Member) -> Bool { people[member] != nil }

  /// Whether the name is that of another session.
  func isTaken(_ name: Name, exceptBy member: Member?) -> Bool {
    members[name.key].map { $0 != member } ?? false
  }
}
