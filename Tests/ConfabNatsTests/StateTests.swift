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
  func unescaped_text_stays(text: String) { #expect(Subject.unescaped(text) == text) }
}

struct PublishQueueTests {
  private static func message(_ id: String, room: Int = 1) -> PendingDraft {
    PendingDraft(room: room, subject: "s", id: id, draft: Draft(kind: .text, bytes: []), quota: nil, publisherID: 0)
  }

  private func ids(_ queue: inout PublishQueue, isOpen: (Int) -> Bool = { _ in true }) -> [String] {
    queue.take(now: .now, isOpen: isOpen).map(\.message.id)
  }

  @Test func oneMessageOfASenderIsOnItsWay() {
    var queue = PublishQueue()
    for id in ["a", "b", "c"] { queue.append(Self.message(id)) }
    #expect(ids(&queue) == ["a"])
    #expect(ids(&queue) == [])
    let settled = [queue.settle(id: "a"), queue.settle(id: "a")].map { $0 != nil }
    #expect(settled == [true, false])
    #expect(ids(&queue) == ["b"])
    queue.resendAll()
    #expect(ids(&queue) == ["b"])
  }

  @Test func a_message_that_another_server_has_sent_is_not_sent() {
    var queue = PublishQueue()
    for id in ["a", "b", "c"] { queue.append(Self.message(id)) }
    _ = queue.settle(id: "b")
    #expect(ids(&queue) == ["a"])
    _ = queue.settle(id: "a")
    #expect(ids(&queue) == ["c"])
    _ = queue.settle(id: "c")
    #expect(queue.isEmpty)
  }

  @Test func a_message_that_waits_for_its_room_is_not_overtaken() {
    var queue = PublishQueue()
    queue.append(Self.message("a", room: 1))
    queue.append(Self.message("b", room: 2))
    #expect(ids(&queue, isOpen: { $0 == 2 }) == [])
    queue.wake(room: 2)
    #expect(ids(&queue) == [])
    queue.wake(room: 1)
    #expect(ids(&queue) == ["a"])
    queue.wake(room: 1)
    #expect(ids(&queue) == [])
  }
}

struct MessageIDTests {
  private func id(_ text: String, _ tag: String? = "t", member: UInt64 = 1, room: String = "r") -> String? {
    Draft(kind: .text, bytes: Array(text.utf8), name: "Ann", member: Member(number: member), tag: tag).id(in: room)
  }

  @Test func a_message_said_again_has_the_same_id() {
    #expect(id("hello") == "r/0000000000000001/t/2cf24dba5fb0a30e" && id("hello") == id("hello"))
  }

  @Test func another_text_tag_member_or_room_is_another_message() {
    let ids = [id("hello"), id("hello!"), id("hello", "u"), id("hello", member: 2), id("hello", room: "s")]
    #expect(Set(ids).count == 5 && !ids.contains(nil) && id("hello", nil) == nil)
  }
}

struct RoomReaderTests {
  private static let roomLimit = 100

  private func delivery(_ id: Int, number: Int, pending: Int = 0, time: Int64? = nil) -> Delivery {
    Delivery(
      consumer: "c", number: number, pending: pending,
      publication: Publication(Draft(kind: .text, bytes: []), at: Position(offset: id, time: 0)),
      time: time ?? Int64(id), id: nil)
  }

  private func info(_ pending: Int, from start: Int = 1) -> ConsumerInfo {
    ConsumerInfo(num_pending: pending, delivered: .init(consumer_seq: 0, stream_seq: start - 1))
  }

  private func take(
    _ id: Int, _ number: Int, pending: Int = 0, time: Int64? = nil, _ reader: inout RoomReader
  ) -> RoomReader.Step {
    let delivery = delivery(id, number: number, pending: pending, time: time)
    return reader.take(delivery, limit: 5, roomLimit: Self.roomLimit, now: .now)
  }

  private func made(_ info: ConsumerInfo, _ reader: inout RoomReader) -> RoomReader.Step {
    reader.made(info, now: .now)
  }

  @Test(arguments: [(Int.min, -1), (-1, Int.min), (.max, .max), (.min, .max)])
  func counts_that_no_stream_has_do_not_overflow(pending: Int, sent: Int) {
    var reader = RoomReader(at: .now)
    reader.request(now: .now)
    let info = ConsumerInfo(num_pending: pending, delivered: .init(consumer_seq: sent, stream_seq: pending))
    #expect(made(info, &reader) == .taken)
  }

  /// A room that is open and has been read up to these messages.
  private func reader(upTo ids: [Int]) -> RoomReader {
    var reader = RoomReader(at: .now)
    reader.request(now: .now)
    _ = made(info(ids.count), &reader)
    for (index, id) in ids.enumerated() { _ = take(id, index + 1, pending: ids.count - index - 1, &reader) }
    _ = reader.catchUp(pending: 0, now: .now)
    _ = reader.open(limit: 5)
    return reader
  }

  @Test func anEmptyRoomIsOpenAtOnce() {
    var reader = RoomReader(at: .now)
    reader.request(now: .now)
    let step = made(info(0), &reader)
    let hasCaughtUp = reader.catchUp(pending: nil, now: .now)
    let kept = reader.open(limit: 10)
    #expect(step == .taken && hasCaughtUp && reader.phase == .live && kept.isEmpty)
  }

  @Test func itIsReadToItsEndAndTheNewestAreKept() {
    var reader = RoomReader(at: .now)
    reader.request(now: .now)
    _ = made(info(30), &reader)
    #expect(reader.phase == .replaying)
    for number in 1...30 {
      let step = take(number * 10, number, pending: 30 - number, &reader)
      let hasCaughtUp = reader.catchUp(pending: 30 - number, now: .now)
      #expect(step == .taken && hasCaughtUp == (number == 30))
    }
    let kept = reader.open(limit: 5)
    #expect(kept.map(\.position.offset) == [260, 270, 280, 290, 300] && reader.lastOffset == 300)
  }

  @Test func aHoleIsSeenAndItIsReadAgainFromThere() {
    var reader = reader(upTo: [])
    let steps = [
      take(7, 1, &reader), take(9, 3, &reader), reader.beat(2, upTo: 9, now: .now), reader.beat(1, upTo: 7, now: .now),
    ]
    #expect(steps == [.taken, .gap, .gap, .taken])
    reader.restart(at: .now)
    #expect(reader.lastOffset == 7 && reader.isOpened && reader.generation == 1 && reader.start == 7)
    let again = [made(info(2, from: 7), &reader), take(7, 1, pending: 1, &reader), take(9, 2, &reader)]
    #expect(again == [.taken, .known, .taken])
  }

  @Test func messages_deleted_while_the_reader_was_away_are_missed() {
    // Deleted by the room's limit.
    var full = reader(upTo: [7])
    full.restart(at: .now)
    let steps = [made(info(Self.roomLimit, from: 7), &full), take(20, 1, pending: Self.roomLimit - 1, &full)]
    #expect(steps == [.taken, .missed] && !full.isOpened)
    full.restart(at: .now)
    #expect(full.start == nil && full.lastOffset == 19)
    // Deleted by age or size, with or without remaining messages.
    for count in [0, 1] {
      var old = reader(upTo: [7])
      old.restart(at: .now)
      let step = made(info(count, from: 9), &old)
      #expect(step == .missed && !old.isOpened)
    }
  }

  @Test func a_deleted_newest_message_is_not_missed() {
    var reader = reader(upTo: [7])
    _ = reader.beat(1, upTo: 30, now: .now)
    reader.restart(at: .now)
    let steps = [made(info(1, from: 20), &reader), take(40, 1, &reader)]
    #expect(steps == [.taken, .taken] && reader.isOpened)
  }

  @Test func a_room_that_was_empty_follows_on() {
    var reader = reader(upTo: [])
    _ = reader.beat(0, upTo: 30, now: .now)
    reader.restart(at: .now)
    #expect(reader.start == nil)
    var other = reader
    let steps = [made(info(1), &reader), take(40, 1, &reader)]
    #expect(steps == [.taken, .taken])
    // The room was empty up to that offset.
    let otherSteps = [made(info(1), &other), take(30, 1, &other)]
    #expect(otherSteps == [.taken, .renumbered])
  }

  @Test func messages_that_come_before_the_answer_wait_for_it() {
    var reader = reader(upTo: [7])
    reader.restart(at: .now)
    let steps = [take(20, 1, pending: 1, &reader), take(21, 2, &reader), made(info(2, from: 9), &reader)]
    #expect(steps == [.held, .held, .missed])
    #expect(reader.release().map(\.publication.position.offset) == [20, 21])
  }

  @Test func another_message_under_a_number_is_noticed() {
    for (id, time) in [(7, Int64(8)), (9, 9)] {
      var reader = reader(upTo: [7])
      reader.restart(at: .now)
      let steps = [made(info(1, from: 7), &reader), take(id, 1, time: time, &reader)]
      #expect(steps == [.taken, .renumbered])
    }
    // The consumer found no message at the offset of the newest one.
    var silent = reader(upTo: [7])
    silent.restart(at: .now)
    let steps = [
      made(info(0, from: 7), &silent), silent.beat(0, upTo: 6, now: .now), silent.beat(0, upTo: 8, now: .now),
    ]
    #expect(steps == [.taken, .taken, .renumbered])
  }

  /// A message was lost with a state of the stream, and its server has sent it again.
  @Test func a_message_stored_again_under_its_number_is_new_only_for_readers_without_it() {
    var behind = reader(upTo: [16])
    behind.restart(at: .now)
    let steps = [
      made(info(1, from: 16), &behind), take(16, 1, &behind), take(17, 2, time: 23, &behind), take(18, 3, &behind),
    ]
    #expect(steps == [.taken, .known, .taken, .taken])
    var ahead = reader(upTo: [16, 17])
    ahead.restart(at: .now)
    let otherSteps = [made(info(1, from: 17), &ahead), take(17, 1, time: 23, &ahead)]
    #expect(otherSteps == [.taken, .renumbered])
  }

  @Test func a_replica_that_is_behind_sends_what_is_known() {
    var reader = reader(upTo: [5, 7])
    reader.restart(at: .now)
    let steps = [made(info(0, from: 5), &reader), take(5, 1, &reader), take(7, 2, &reader), take(8, 3, &reader)]
    #expect(steps == [.taken, .known, .known, .taken])
  }

  @Test func a_reader_that_is_behind_in_a_full_room_misses_messages() {
    var open = reader(upTo: [7])
    let step = take(300, 2, pending: Self.roomLimit - 1, &open)
    #expect(step == .missed)
    var new = RoomReader(at: .now)
    new.request(now: .now)
    _ = made(info(Self.roomLimit), &new)
    let steps = [take(1, 1, pending: Self.roomLimit - 1, &new), take(50, 2, pending: Self.roomLimit - 1, &new)]
    #expect(steps == [.taken, .taken] && new.collected.map(\.position.offset) == [50])
  }

  @Test func aConsumerThatFallsSilentIsLost() {
    var reader = RoomReader(at: .now)
    let now = ContinuousClock.now
    reader.request(now: now)
    _ = reader.made(info(0), now: now)
    #expect(!reader.isLost(now: now + .seconds(6)) && reader.isLost(now: now + .seconds(8)))
    // The stream has a message that the consumer does not deliver.
    reader.know(5, now: now)
    #expect(!reader.isLost(now: now + .seconds(1)) && reader.isLost(now: now + .seconds(3)))
  }
}

struct RemotePresenceTests {
  private func name(_ text: String) -> Name { Name(text, limit: 32)! }

  private func presence(_ people: [(String, Session, Int)], count: Int? = nil) -> ServerPresence {
    let people = people.map { MemberPresence(name($0.0), $0.1, connectionNumber: $0.2) }
    return ServerPresence(members: people, count: count ?? people.count)
  }

  @Test func counts_that_no_server_has_do_not_overflow() {
    var remote = RemotePresence(room: "/")
    for server in ["one", "two", "three"] { remote.update(server, presence([], count: .max)) }
    #expect(remote.count > 0)
    remote.update("one", presence([], count: .min))
    #expect(remote.count > 0)
  }

  @Test func a_member_at_two_servers_is_where_its_newest_connection_is() {
    var remote = RemotePresence(room: "/")
    let session = Session(in: "/")
    remote.update("one", presence([("Ann", session, 1)], count: 3))
    remote.update("two", presence([("Anna", session, 2)]))
    #expect(
      Array(remote.names.keys) == [name("Anna")] && remote.count == 3
        && remote.member(with: session)?.connectionNumber == 2)
    #expect(remote.isTaken(name("anna"), exceptBy: nil) && !remote.isTaken(name("anna"), exceptBy: session.member))
    remote.update("two", .none)
    #expect(Array(remote.names.keys) == [name("Ann")] && remote.count == 3)
    remote.update("one", .none)
    #expect(remote.names.isEmpty && remote.count == 0)
  }
  /// After updates in any order, the state is that of the last ones.
  @Test func updates_add_up() {
    let sessions = (0..<6).map { _ in Session(in: "/") }
    for _ in 0..<300 {
      var (remote, told) = (RemotePresence(room: "/"), [String: ServerPresence]())
      for _ in 0..<20 {
        let server = ["one", "two", "three"].randomElement()!
        let people = sessions.filter { _ in .random() }.map { session in
          (["Ann", "ANN", "Bob", "Cid"].randomElement()!, session, Int.random(in: 1...1000))
        }
        let before = Set(remote.names.keys)
        told[server] = presence(people, count: people.count + Int.random(in: 0...2))
        let difference = remote.update(server, told[server]!)
        #expect(difference.names == before.symmetricDifference(remote.names.keys))
        var anew = RemotePresence(room: "/")
        for (server, presence) in told { anew.update(server, presence) }
        #expect(remote.names == anew.names && remote.count == anew.count)
        for session in sessions {
          #expect(remote.has(session.member) == anew.has(session.member))
          #expect(remote.member(with: session)?.connectionNumber == anew.member(with: session)?.connectionNumber)
          for text in ["Ann", "Bob", "Cid"] {
            let isTaken = remote.isTaken(name(text), exceptBy: session.member)
            #expect(isTaken == anew.isTaken(name(text), exceptBy: session.member))
          }
        }
      }
    }
  }
}

struct PresenceExchangeTests {
  private final class TestRoom: RoomDelegate {
    func opened(_ snapshot: RoomSnapshot) {}
    func epochChanged(_ epoch: String) {}
    func published(_ publications: [Publication]) {}
    func rejected(_ drafts: [Draft]) {}
    func availabilityChanged(_ isAvailable: Bool) {}
    func presence(unless version: Int) -> (presence: ServerPresence, version: Int)? { nil }
    func presenceChanged(on server: String, to presence: ServerPresence) {}
    func typed(_ name: String) {}
  }

  @Test func only_rooms_with_news_are_asked() {
    var presenceExchange = PresenceExchange("me", prefix: "p")
    var now = ContinuousClock.now
    var effects = Effects()
    for number in 0..<100 { presenceExchange.open(number, "room\(number)", TestRoom(), &effects) }
    func tick(after delay: Duration = .milliseconds(250)) -> (asked: [Int], told: Int) {
      now += delay
      var effects = Effects()
      presenceExchange.tick(now, &effects)
      let asked = effects.calls.compactMap { if case .queryPresence(_, let number, _) = $0 { number } else { nil } }
      return (asked, effects.actions.count)
    }
    #expect(tick().asked == Array(0..<100))
    for number in 0..<100 {
      presenceExchange.report(number, number < 10 ? ServerPresence(members: [], count: 1) : .none, 1, now, &effects)
    }
    #expect(tick() == ([], 0))
    presenceExchange.changed(3)
    presenceExchange.changed(50)
    presenceExchange.changed(1000)
    #expect(tick() == ([3, 50], 0))
    // Known members are reported again without a query.
    #expect(tick(after: .seconds(4)) == ([], 10))
    #expect(tick(after: .seconds(4)) == ([], 10))
    presenceExchange.close(5, &effects)
    #expect(tick(after: .seconds(4)) == ([], 9))
  }
}
