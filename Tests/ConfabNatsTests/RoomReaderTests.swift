import Confab
import Testing

@testable import ConfabChat
@testable import ConfabNats

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
