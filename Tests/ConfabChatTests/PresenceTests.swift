import Testing

@testable import ConfabChat

private func name(_ text: String) -> Name {
  guard let name = Name(text, limit: 32) else { preconditionFailure("\(text) is no name") }
  return name
}

struct PresenceChangesTests {
  private func take(_ presence: inout PresenceChanges, _ present: String...) -> PresenceEvent {
    presence.take(count: present.count) { present.contains($0.text) }
  }

  @Test func events_add_up_to_the_members() {
    var presence = PresenceChanges()
    #expect(!presence.hasChanges)
    presence.changed(name("Ann"))
    presence.changed(name("Bob"))
    presence.changed(name("Bob"))
    #expect(presence.hasChanges)
    let event = take(&presence, "Ann")
    #expect(event.joined == ["Ann"] && event.left == ["Bob"] && event.renamed == [] && event.count == 1)
    #expect(!presence.hasChanges)
    presence.countChanged()
    #expect(presence.hasChanges)
    #expect(take(&presence, "Ann") == PresenceEvent(count: 1))
    #expect(!presence.hasChanges)
  }

  @Test func aNewNameIsToldAsSuch() {
    var presence = PresenceChanges()
    presence.renamed(name("Ann"), to: name("Anna"))
    let event = take(&presence, "Anna")
    #expect(event.joined == [] && event.left == [] && event.renamed == [["Ann", "Anna"]])
    #expect(!presence.hasChanges)
  }

  /// Each name is in at most one list of an event, so the lists can be applied in any order.
  @Test func namesThatChangeTwiceAreToldAsTheyAre() {
    var presence = PresenceChanges()
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
    #expect(!presence.hasChanges)
  }

  @Test func waiting_names_are_bounded() {
    var presence = PresenceChanges()
    for number in 0..<600 { presence.renamed(name("old \(number)"), to: name("new \(number)")) }
    for number in 0..<1000 { presence.changed(name("joined \(number)")) }
    // Pending names may still change.
    presence.renamed(name("new 0"), to: name("joined 0"))
    var told: [PresenceEvent] = []
    while presence.hasChanges { told.append(presence.take(count: 9) { $0.text != "old 0" && $0.text != "new 0" }) }
    #expect(told.allSatisfy { $0.count == 9 } && told.count <= 11)
    #expect(told.map(\.renamed.count).reduce(0, +) == 499 && told.flatMap(\.joined).isEmpty)
    #expect(told.flatMap(\.left).sorted() == ["new 0", "old 0"])
    for _ in 0..<3 { presence.changed(name("back")) }
    #expect(take(&presence, "back").joined == ["back"] && !presence.hasChanges)
  }

  @Test func changes_beyond_the_limit_are_a_count() {
    var presence = PresenceChanges()
    for number in 0..<PresenceChanges.maxPending { presence.changed(name("\(number)")) }
    for _ in 0..<PresenceChanges.maxPending / PresenceChanges.maxNames - 1 { _ = presence.take(count: 1) { _ in true } }
    for number in 0..<2 * PresenceChanges.maxPending { presence.changed(name("more \(number)")) }
    var count = 0
    while presence.hasChanges {
      _ = presence.take(count: 1) { _ in true }
      count += 1
    }
    #expect(count == PresenceChanges.maxPending / PresenceChanges.maxNames)
  }

  @Test func listsHaveFiftyNames() {
    var presence = PresenceChanges()
    for number in 0..<120 { presence.changed(name("joined \(number)")) }
    for number in 0..<60 { presence.changed(name("left \(number)")) }
    for number in 0..<70 { presence.renamed(name("old \(number)"), to: name("new \(number)")) }
    var told: [PresenceEvent] = []
    while presence.hasChanges { told.append(presence.take(count: 9) { !$0.text.hasPrefix("left") }) }
    #expect(told.map(\.joined.count) == [50, 50, 20])
    #expect(told.map(\.left.count) == [50, 10, 0])
    #expect(told.map(\.renamed.count) == [50, 20, 0])
    #expect(Set(told.flatMap(\.joined)).count == 120)
  }
}

struct RoomMembersTests {
  private final class Peer {}
  private let one = Peer()
  private let two = Peer()
  private let three = Peer()

  private func join(
    _ members: inout RoomMembers<Peer>, _ text: String, _ peer: Peer, _ session: Session? = nil
  ) -> RoomMembers<Peer>.Join? {
    members.join(name(text), as: peer, session: session)
  }

  @Test func aNameBelongsToOne() throws {
    var members = RoomMembers<Peer>(room: "/")
    let session = try #require(join(&members, "Ann", one)).session
    #expect(join(&members, "ANN", two) == nil)
    #expect(members.count == 1 && members.names(10) == ["Ann"])
    #expect(members.member(session.member, of: one)?.name.text == "Ann")
    #expect(members.member(session.member, of: two) == nil)
    #expect(members.leave(session.member, two) == nil)
    #expect(members.leave(session.member, one)?.text == "Ann")
    #expect(join(&members, "ann", two) != nil)
  }

  @Test func aSessionTakesOver() throws {
    var members = RoomMembers<Peer>(room: "/")
    let session = try #require(join(&members, "Ann", one)).session
    #expect(join(&members, "Bob", three) != nil)
    let second = try #require(join(&members, "Ann", two, session))
    #expect(second.session.isSame(as: session) && second.replaced === one && second.oldName == nil)
    #expect(members.count == 2 && members.member(session.member, of: one) == nil)
    // The replaced connection cannot end its successor's membership.
    #expect(members.leave(session.member, one) == nil && members.count == 2)
    #expect(join(&members, "Bob", one, session) == nil, "the name is somebody else's")
    #expect(join(&members, "Anna", one, session)?.oldName == name("Ann"))
    #expect(members.names(10).sorted() == ["Anna", "Bob"])
  }

  @Test func aSessionOutlivesItsConnection() throws {
    var members = RoomMembers<Peer>(room: "/")
    let session = try #require(join(&members, "Ann", one)).session
    #expect(members.leave(session.member, one) != nil)
    let again = try #require(join(&members, "Bob", two, session))
    #expect(again.session.isSame(as: session) && again.replaced == nil && !again.isReturning)
    // The session comes from another server.
    let other = Session(in: "/")
    #expect(try #require(join(&members, "Cid", three, other)).session.isSame(as: other))
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
    var members = RoomMembers<Peer>(room: "/")
    let session = try #require(join(&members, "Ann", one)).session
    #expect(join(&members, "Bob", two) != nil)
    #expect(members.rename(session.member, to: name("bob")) == nil)
    #expect(members.rename(session.member, to: name("ANN"))?.text == "Ann")
    #expect(members.rename(session.member, to: name("Cid"))?.text == "ANN")
    #expect(members.isPresent(name("Cid")) && !members.isPresent(name("cid")))
    #expect(join(&members, "Ann", three) != nil)
  }

  @Test func anotherNameIsProposed() throws {
    var members = RoomMembers<Peer>(room: "/")
    let ann = name("Ann")
    for number in 2...400 {
      _ = join(&members, number == 2 ? "Ann" : try #require(members.proposal(for: ann)).text, Peer())
      #expect(members.proposal(for: ann) != nil)
    }
    #expect(members.count == 399)
  }
}
