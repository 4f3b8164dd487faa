import Testing

@testable import ConfabChat

private func name(_ text: String) -> Name {
  guard let name = Name(text, limit: 32) else { preconditionFailure("\(text) is no name") }
  return name
}

struct PresenceTests {
  private func take(_ presence: inout Presence, _ present: String...) -> PresenceEvent {
    presence.take(count: present.count) { present.contains($0.text) }
  }

  @Test func whatIsToldIsHowThingsAre() {
    var presence = Presence()
    #expect(!presence.hasNews)
    presence.changed(name("Ann"))
    presence.changed(name("Bob"))
    presence.changed(name("Bob"))
    #expect(presence.hasNews)
    let event = take(&presence, "Ann")
    #expect(event.joined == ["Ann"] && event.left == ["Bob"] && event.renamed == [] && event.count == 1)
    #expect(!presence.hasNews)
    presence.countChanged()
    #expect(presence.hasNews)
    #expect(take(&presence, "Ann") == PresenceEvent(count: 1))
    #expect(!presence.hasNews)
  }

  @Test func aNewNameIsToldAsSuch() {
    var presence = Presence()
    presence.renamed(name("Ann"), to: name("Anna"))
    let event = take(&presence, "Anna")
    #expect(event.joined == [] && event.left == [] && event.renamed == [["Ann", "Anna"]])
    #expect(!presence.hasNews)
  }

  /// Each name is in at most one list of an event, so the lists can be applied in any order.
  @Test func namesThatChangeTwiceAreToldAsTheyAre() {
    var presence = Presence()
    presence.renamed(name("Ann"), to: name("Anna"))
    presence.changed(name("Ann"))
    var event = take(&presence, "Ann", "Anna")
    #expect(event.joined.sorted() == ["Ann", "Anna"] && event.left == [] && event.renamed == [])

    presence.renamed(name("Ann"), to: name("Bob"))
    presence.renamed(name("Bob"), to: name("Cid"))
    event = take(&presence, "Anna", "Cid")
    #expect(event.joined == ["Cid"] && event.left.sorted() == ["Ann", "Bob"] && event.renamed == [])

    presence.changed(name("Dan"))
    presence.renamed(name("Dan"), to: name("Eve"))
    event = take(&presence, "Eve")
    #expect(event.joined == ["Eve"] && event.left == ["Dan"] && event.renamed == [])
    #expect(!presence.hasNews)
  }

  @Test func waiting_names_are_bounded() {
    var presence = Presence()
    for number in 0..<600 { presence.renamed(name("old \(number)"), to: name("new \(number)")) }
    for number in 0..<1000 { presence.changed(name("joined \(number)")) }
    // Pending names may still change.
    presence.renamed(name("new 0"), to: name("joined 0"))
    var told: [PresenceEvent] = []
    while presence.hasNews { told.append(presence.take(count: 9) { $0.text != "old 0" && $0.text != "new 0" }) }
    #expect(told.allSatisfy { $0.count == 9 } && told.count <= 11)
    #expect(told.map(\.renamed.count).reduce(0, +) == 499 && told.flatMap(\.joined).isEmpty)
    #expect(told.flatMap(\.left).sorted() == ["new 0", "old 0"])
    for _ in 0..<3 { presence.changed(name("back")) }
    #expect(take(&presence, "back").joined == ["back"] && !presence.hasNews)
  }

  @Test func what_does_not_fit_is_told_as_a_count() {
    var presence = Presence()
    for number in 0..<Presence.maxWaiting { presence.changed(name("\(number)")) }
    for _ in 0..<Presence.maxWaiting / Presence.maxNames - 1 { _ = presence.take(count: 1) { _ in true } }
    for number in 0..<2 * Presence.maxWaiting { presence.changed(name("more \(number)")) }
    var count = 0
    while presence.hasNews {
      _ = presence.take(count: 1) { _ in true }
      count += 1
    }
    #expect(count == Presence.maxWaiting / Presence.maxNames)
  }

  @Test func listsHaveFiftyNames() {
    var presence = Presence()
    for number in 0..<120 { presence.changed(name("joined \(number)")) }
    for number in 0..<60 { presence.changed(name("left \(number)")) }
    for number in 0..<70 { presence.renamed(name("old \(number)"), to: name("new \(number)")) }
    var told: [PresenceEvent] = []
    while presence.hasNews { told.append(presence.take(count: 9) { !$0.text.hasPrefix("left") }) }
    #expect(told.map(\.joined.count) == [50, 50, 20])
    #expect(told.map(\.left.count) == [50, 10, 0])
    #expect(told.map(\.renamed.count) == [50, 20, 0])
    #expect(Set(told.flatMap(\.joined)).count == 120)
  }
}

struct PeopleTests {
  private final class Peer {}
  private let one = Peer()
  private let two = Peer()
  private let three = Peer()

  private func enter(
    _ people: inout People<Peer>, _ text: String, _ peer: Peer, _ session: Session? = nil
  ) -> People<Peer>.Entry? {
    people.enter(name(text), as: peer, session: session)
  }

  @Test func aNameBelongsToOne() throws {
    var people = People<Peer>(room: "/")
    let session = try #require(enter(&people, "Ann", one)).session
    #expect(enter(&people, "ANN", two) == nil)
    #expect(people.count == 1 && people.names(10) == ["Ann"])
    #expect(people.person(session.member, of: one)?.name.text == "Ann")
    #expect(people.person(session.member, of: two) == nil)
    #expect(people.leave(session.member, two) == nil)
    #expect(people.leave(session.member, one)?.text == "Ann")
    #expect(enter(&people, "ann", two) != nil)
  }

  @Test func aSessionTakesOver() throws {
    var people = People<Peer>(room: "/")
    let session = try #require(enter(&people, "Ann", one)).session
    #expect(enter(&people, "Bob", three) != nil)
    let entry = try #require(enter(&people, "Ann", two, session))
    #expect(entry.session.isSame(as: session) && entry.replaced === one && entry.renamed == nil)
    #expect(people.count == 2 && people.person(session.member, of: one) == nil)
    // The replaced connection cannot end its successor's membership.
    #expect(people.leave(session.member, one) == nil && people.count == 2)
    #expect(enter(&people, "Bob", one, session) == nil, "the name is somebody else's")
    #expect(enter(&people, "Anna", one, session)?.renamed == name("Ann"))
    #expect(people.names(10).sorted() == ["Anna", "Bob"])
  }

  @Test func aSessionOutlivesItsConnection() throws {
    var people = People<Peer>(room: "/")
    let session = try #require(enter(&people, "Ann", one)).session
    #expect(people.leave(session.member, one) != nil)
    let again = try #require(enter(&people, "Bob", two, session))
    #expect(again.session.isSame(as: session) && again.replaced == nil && !again.isKnown)
    // The session comes from another server.
    let other = Session(in: "/")
    #expect(try #require(enter(&people, "Cid", three, other)).session.isSame(as: other))
  }

  @Test func nobodyBecomesAnotherMember() throws {
    let session = Session(in: "/")
    let forged = try #require(Session(session.member.text + session.text.suffix(32), in: "/"))
    #expect(forged.member != session.member)
    #expect(Session(session.text, in: "/")?.member == session.member)
    #expect(Session(session.text.uppercased(), in: "/")?.member == session.member)
    #expect(Session(session.text, in: "/tea")?.member != session.member)
  }

  @Test func namesCanBeChanged() throws {
    var people = People<Peer>(room: "/")
    let session = try #require(enter(&people, "Ann", one)).session
    #expect(enter(&people, "Bob", two) != nil)
    #expect(people.rename(session.member, to: name("bob")) == nil)
    #expect(people.rename(session.member, to: name("ANN"))?.text == "Ann")
    #expect(people.rename(session.member, to: name("Cid"))?.text == "ANN")
    #expect(people.isPresent(name("Cid")) && !people.isPresent(name("cid")))
    #expect(enter(&people, "Ann", three) != nil)
  }

  @Test func anotherNameIsProposed() throws {
    var people = People<Peer>(room: "/")
    let ann = name("Ann")
    for number in 2...400 {
      _ = enter(&people, number == 2 ? "Ann" : try #require(people.proposal(for: ann)).text, Peer())
      #expect(people.proposal(for: ann) != nil)
    }
    #expect(people.count == 399)
  }
}
