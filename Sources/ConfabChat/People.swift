/// Those who have a name in a room, each with the connection that speaks for them.
struct People<Connection: AnyObject> {
  struct Person {
    var name: Name
    let session: Session
    var connection: Connection
  }
  private var people: [UInt64: Person] = [:]
  /// Their ids by what makes a name unique.
  private var ids: [String: UInt64] = [:]

  var count: Int { people.count }
  var isEmpty: Bool { people.isEmpty }

  var connections: some Sequence<Connection> { people.values.lazy.map(\.connection) }

  /// At most `count` names, in no order.
  func names(_ count: Int) -> [String] { people.values.prefix(count).map(\.name.text) }

  func isPresent(_ name: Name) -> Bool { ids[name.key].flatMap { people[$0] }?.name == name }

  /// The person that `connection` speaks for: nobody when another one has taken over.
  func person(_ id: UInt64, of connection: Connection) -> Person? {
    people[id].flatMap { $0.connection === connection ? $0 : nil }
  }

  /// Whether the name is somebody else's than that of `id`.
  private func isTaken(_ name: Name, exceptBy id: UInt64?) -> Bool { ids[name.key].map { $0 != id } ?? false }

  /// How somebody has come.
  struct Entry {
    let session: Session
    /// The connection that it was there by already, which speaks for nobody any more.
    var replaced: Connection?
    /// The name that it had there, if that was another one.
    var renamed: Name?
  }

  /// Lets somebody in, or takes the place of the connection that has the same session. Nil when the name is taken.
  mutating func enter(_ name: Name, as connection: Connection, session: Session?) -> Entry? {
    if let session, let person = people[session.id], person.session.isSame(as: session) {
      guard let old = rename(session.id, to: name) else { return nil }
      people[session.id]?.connection = connection
      return Entry(session: person.session, replaced: person.connection, renamed: old == name ? nil : old)
    }
    guard !isTaken(name, exceptBy: nil) else { return nil }
    let session = Session()
    people[session.id] = Person(name: name, session: session, connection: connection)
    ids[name.key] = session.id
    return Entry(session: session)
  }

  /// Gives a person another name, and returns the old one; nil when it is taken by somebody else.
  mutating func rename(_ id: UInt64, to name: Name) -> Name? {
    guard let old = people[id]?.name, !isTaken(name, exceptBy: id) else { return nil }
    ids[old.key] = nil
    ids[name.key] = id
    people[id]?.name = name
    return old
  }

  /// Lets the person go that `connection` speaks for; nil if there is none such.
  mutating func leave(_ id: UInt64, _ connection: Connection) -> Name? {
    guard let person = person(id, of: connection) else { return nil }
    people[id] = nil
    ids[person.name.key] = nil
    return person.name
  }

  /// A name like the one that is taken, which nobody has.
  func proposal(for name: Name) -> Name? {
    // Where many have had this proposed, a number that is probably free is quicker found than the next one.
    let numbers = Array(2...9) + [99, 999, 9999, 999_999].map { Int.random(in: 10...$0) }
    return numbers.lazy.compactMap { name.numbered($0) }.first { !isTaken($0, exceptBy: nil) }
  }
}
