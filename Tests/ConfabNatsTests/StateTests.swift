import Confab
import Testing

@testable import ConfabChat
@testable import ConfabNats

struct SubjectTests {
  @Test(arguments: [("/tea", "%2Ftea"), ("a-Z_9", "a-Z_9"), ("a.b *>", "a%2Eb%20%2A%3E"), ("你", "%E4%BD%A0"), ("", "")])
  func anyTextIsOneToken(text: String, token: String) {
    #expect(Subject.escaped(text) == token)
    #expect(Subject.unescaped(token) == text)
  }

  @Test(arguments: ["%", "%4", "%zz", "100%"])
  func whatNobodyHasEscapedStays(text: String) { #expect(Subject.unescaped(text) == text) }
}

struct OutboxTests {
  private static func message(_ id: String, room: Int = 1) -> Outbox.Message {
    Outbox.Message(room: room, subject: "s", id: id, post: Post(kind: .text, bytes: []), sender: nil, senderID: 0)
  }

  private func ids(_ outbox: inout Outbox, isOpen: (Int) -> Bool = { _ in true }) -> [String] {
    outbox.take(now: .now, isOpen: isOpen).map(\.message.id)
  }

  @Test func oneMessageOfASenderIsOnItsWay() {
    var outbox = Outbox()
    for id in ["a", "b", "c"] { outbox.append(Self.message(id)) }
    #expect(ids(&outbox) == ["a"])
    #expect(ids(&outbox) == [])
    let settled = [outbox.settle(id: "a"), outbox.settle(id: "a")].map { $0 != nil }
    #expect(settled == [true, false])
    #expect(ids(&outbox) == ["b"])
    outbox.putBackAll()
    #expect(ids(&outbox) == ["b"])
  }

  @Test func whatAnotherServerHasSentIsNotSent() {
    var outbox = Outbox()
    for id in ["a", "b", "c"] { outbox.append(Self.message(id)) }
    _ = outbox.settle(id: "b")
    #expect(ids(&outbox) == ["a"])
    _ = outbox.settle(id: "a")
    #expect(ids(&outbox) == ["c"])
    _ = outbox.settle(id: "c")
    #expect(outbox.isEmpty)
  }

  @Test func whatWaitsForItsRoomIsNotOvertaken() {
    var outbox = Outbox()
    outbox.append(Self.message("a", room: 1))
    outbox.append(Self.message("b", room: 2))
    #expect(ids(&outbox, isOpen: { $0 == 2 }) == [])
    outbox.wake(room: 2)
    #expect(ids(&outbox) == [])
    outbox.wake(room: 1)
    #expect(ids(&outbox) == ["a"])
    outbox.wake(room: 1)
    #expect(ids(&outbox) == [])
  }
}

struct RoomReaderTests {
  private func post(_ id: Int) -> PlacedPost {
    PlacedPost(Post(kind: .text, bytes: []), at: Place(id: id, at: 0))
  }

  private func info(_ pending: Int) -> ConsumerInfo {
    ConsumerInfo(num_pending: pending, delivered: .init(consumer_seq: 0))
  }

  @Test func anEmptyRoomIsOpenAtOnce() {
    var reader = RoomReader(at: .now)
    reader.ask(now: .now)
    let hasCaughtUp = reader.made(info(0), now: .now)
    let kept = reader.open(limit: 10)
    #expect(hasCaughtUp && reader.phase == .live && kept.isEmpty)
  }

  @Test func itIsReadToItsEndAndTheNewestAreKept() {
    var reader = RoomReader(at: .now)
    reader.ask(now: .now)
    _ = reader.made(info(30), now: .now)
    #expect(reader.phase == .replaying)
    for number in 1...30 {
      let step = reader.take(post(number * 10), number: number, limit: 5, now: .now)
      let hasCaughtUp = reader.catchUp(pending: 30 - number, now: .now)
      #expect(step == .taken && hasCaughtUp == (number == 30))
    }
    let kept = reader.open(limit: 5)
    #expect(kept.map(\.place.id) == [260, 270, 280, 290, 300] && reader.last == 300)
  }

  @Test func aHoleIsSeenAndItIsReadAgainFromThere() {
    var reader = RoomReader(at: .now)
    reader.ask(now: .now)
    _ = reader.made(info(0), now: .now)
    _ = reader.open(limit: 5)
    let steps = [
      reader.take(post(7), number: 1, limit: 5, now: .now), reader.take(post(9), number: 3, limit: 5, now: .now),
      reader.beat(2, now: .now), reader.beat(1, now: .now),
    ]
    #expect(steps == [.taken, .hole, .hole, .taken])
    reader.restart(at: .now)
    #expect(reader.last == 7 && reader.isOpened && reader.generation == 1)
  }

  @Test func aConsumerThatFallsSilentIsLost() {
    var reader = RoomReader(at: .now)
    let now = ContinuousClock.now
    reader.ask(now: now)
    _ = reader.made(info(0), now: now)
    #expect(!reader.isLost(now: now + .seconds(6)) && reader.isLost(now: now + .seconds(8)))
    // What the stream has and it does not send.
    reader.know(5, now: now)
    #expect(!reader.isLost(now: now + .seconds(1)) && reader.isLost(now: now + .seconds(3)))
  }
}

struct OthersTests {
  private func name(_ text: String) -> Name { Name(text, limit: 32)! }

  private func attendance(_ people: [(String, Session, Int)], count: Int? = nil) -> Attendance {
    let people = people.map { Attendance.Person(name($0.0), $0.1, visits: $0.2) }
    return Attendance(people: people, count: count ?? people.count)
  }

  @Test func counts_that_no_server_has_do_not_overflow() {
    var others = Others(room: "/")
    for server in ["one", "two", "three"] { others.update(server, attendance([], count: .max)) }
    #expect(others.count > 0)
    others.update("one", attendance([], count: .min))
    #expect(others.count > 0)
  }

  @Test func whoIsAtTwoServersIsWhereTheNewestConnectionIs() {
    var others = Others(room: "/")
    let session = Session(in: "/")
    others.update("one", attendance([("Ann", session, 1)], count: 3))
    others.update("two", attendance([("Anna", session, 2)]))
    #expect(Array(others.names.keys) == [name("Anna")] && others.count == 3 && others.person(session)?.visits == 2)
    #expect(others.isTaken(name("anna"), exceptBy: nil) && !others.isTaken(name("anna"), exceptBy: session.member))
    others.update("two", .none)
    #expect(Array(others.names.keys) == [name("Ann")] && others.count == 3)
    others.update("one", .none)
    #expect(others.names.isEmpty && others.count == 0)
  }
  /// Whatever has been told in whatever order, what is known is what has been told last.
  @Test func updates_add_up() {
    let sessions = (0..<6).map { _ in Session(in: "/") }
    for _ in 0..<300 {
      var (others, told) = (Others(room: "/"), [String: Attendance]())
      for _ in 0..<20 {
        let server = ["one", "two", "three"].randomElement()!
        let people = sessions.filter { _ in .random() }.map { session in
          (["Ann", "ANN", "Bob", "Cid"].randomElement()!, session, Int.random(in: 1...1000))
        }
        let before = Set(others.names.keys)
        told[server] = attendance(people, count: people.count + Int.random(in: 0...2))
        let change = others.update(server, told[server]!)
        #expect(change.names == before.symmetricDifference(others.names.keys))
        var anew = Others(room: "/")
        for (server, attendance) in told { anew.update(server, attendance) }
        #expect(others.names == anew.names && others.count == anew.count)
        for session in sessions {
          #expect(others.has(session.member) == anew.has(session.member))
          #expect(others.person(session)?.visits == anew.person(session)?.visits)
          for text in ["Ann", "Bob", "Cid"] {
            let isTaken = others.isTaken(name(text), exceptBy: session.member)
            #expect(isTaken == anew.isTaken(name(text), exceptBy: session.member))
          }
        }
      }
    }
  }
}

struct NeighbourhoodTests {
  private final class Sink: RoomSink {
    func opened(_ kept: Kept) {}
    func renumbered(_ epoch: String) {}
    func placed(_ posts: [PlacedPost]) {}
    func refused(_ posts: [Post]) {}
    func availabilityChanged(_ isAvailable: Bool) {}
    func attendance(unless version: Int) -> (attendance: Attendance, version: Int)? { nil }
    func attended(_ server: String, _ attendance: Attendance) {}
    func typed(_ name: String) {}
  }

  @Test func only_rooms_with_news_are_asked() {
    var neighbourhood = Neighbourhood("me", prefix: "p")
    var now = ContinuousClock.now
    var effects = Effects()
    for number in 0..<100 { neighbourhood.open(number, "room\(number)", Sink(), &effects) }
    func tick(after delay: Duration = .milliseconds(250)) -> (asked: [Int], told: Int) {
      now += delay
      var effects = Effects()
      neighbourhood.tick(now, &effects)
      let asked = effects.calls.compactMap { if case .attendance(_, let number, _) = $0 { number } else { nil } }
      return (asked, effects.actions.count)
    }
    #expect(tick().asked == Array(0..<100))
    for number in 0..<100 {
      neighbourhood.tell(number, number < 10 ? Attendance(people: [], count: 1) : .none, 1, now, &effects)
    }
    #expect(tick() == ([], 0))
    neighbourhood.changed(3)
    neighbourhood.changed(50)
    neighbourhood.changed(1000)
    #expect(tick() == ([3, 50], 0))
    // What is known is told again, without asking for it.
    #expect(tick(after: .seconds(4)) == ([], 10))
    #expect(tick(after: .seconds(4)) == ([], 10))
    neighbourhood.close(5, &effects)
    #expect(tick(after: .seconds(4)) == ([], 9))
  }
}
