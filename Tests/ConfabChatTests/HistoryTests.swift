import Confab
import FoundationEssentials
import Testing

@testable import ConfabChat

private let ann = Member(number: 1)
private let bob = Member(number: 0xfedc_ba98_7654_3210)

/// A message as read from its JSON.
struct ReadMessage: Decodable {
  let id: Int
  let at: Int64
  let from, member, tag, text: String?
  let binary, textBytes: Int?

  init?(_ json: some Sequence<UInt8>) {
    guard let message = try? JSONDecoder().decode(ReadMessage.self, from: Data(json)) else { return nil }
    self = message
  }
}

extension History {
  fileprivate mutating func append(
    _ message: Message, name: String? = nil, member: Member? = nil, tag: String? = nil, at position: Position
  ) {
    append(
      MessageEvent(at: position, message, from: name, member: member, tag: tag).json, member: member, tag: tag,
      at: position)
  }

  fileprivate mutating func say(
    _ text: String, tag: String? = nil, of member: Member = ann, from name: String? = nil, at: Int64 = 0
  ) {
    append(
      Message(.text, Array(text.utf8).span), name: name, member: tag == nil ? nil : member, tag: tag,
      at: Position(offset: lastOffset + 1, time: at))
  }

  fileprivate func id(of tag: String, _ member: Member = ann) -> Int? {
    MemberTag(member, tag).flatMap { message(with: $0) }.flatMap { ReadMessage($0.json)?.id }
  }
  fileprivate func messages(after id: Int, count: Int = 100) -> [ReadMessage] {
    page(after: id, count: count).messages.compactMap { ReadMessage($0) }
  }
  fileprivate func texts(after id: Int, count: Int = 100) -> [String?] { messages(after: id, count: count).map(\.text) }
  fileprivate func ids(before id: Int, count: Int = 100) -> [Int] {
    page(before: id, count: count).messages.compactMap { ReadMessage($0)?.id }
  }
}

struct HistoryTests {
  @Test func messagesAreKeptAsTheyWere() throws {
    var history = History(maxMessages: 10, maxBytes: 10_000)
    #expect(history.isEmpty && history.lastOffset == 0 && history.oldestOffset == 1 && history.bytes == 0)
    history.say("你好", at: 5)
    history.append(Message(.binary, [1, 2, 3].span), at: Position(offset: 2, time: 6))
    history.say("hi", tag: "t-1", from: "李", at: 7)
    history.say("")
    let messages = history.messages(after: 0)
    #expect(messages.map(\.id) == [1, 2, 3, 4] && messages.map(\.at) == [5, 6, 7, 0])
    #expect(messages.map(\.text) == ["你好", nil, "hi", ""] && messages.map(\.binary) == [nil, 3, nil, nil])
    #expect(messages.map(\.from) == [nil, nil, "李", nil] && messages.map(\.tag) == [nil, nil, "t-1", nil])
    #expect(messages.map(\.member) == [nil, nil, ann.text, nil])
    #expect(history.id(of: "t-1") == 3 && history.id(of: "t-2") == nil)
  }

  @Test(arguments: [(70, 5), (101, 5), (201, 5), (301, 6), (50, 1), (51, 4), (0, 1)])
  func expiry_leaves_no_hole_when_the_clock_was_set_back(_ time: Int64, _ oldest: Int) {
    var history = History(maxMessages: 10, maxBytes: 10_000)
    for at in [100, 200, 50, 60, 300] as [Int64] { history.say("x", at: at) }
    history.drop(olderThan: time)
    #expect(history.oldestOffset == oldest && history.isWhole(after: oldest - 1) && !history.isWhole(after: oldest - 2))
    #expect(history.messages(after: 0).map(\.id) == Array(oldest..<6))
  }

  @Test func aTagIsItsMembers() throws {
    var history = History(maxMessages: 2, maxBytes: 10_000)
    history.say("one", tag: "t", of: ann, from: "Ann")
    history.say("two", tag: "t", of: bob, from: "Ann")
    #expect(history.id(of: "t", ann) == 1 && history.id(of: "t", bob) == 2)
    #expect(history.id(of: "t", Member(number: 2)) == nil)
    #expect(history.messages(after: 0).map(\.member) == [ann.text, bob.text])
    history.say("three", tag: "t2", of: ann, from: "Ann")
    #expect(history.id(of: "t", ann) == nil && history.id(of: "t", bob) == 2 && history.id(of: "t2", ann) == 3)
    // Messages kept by older versions have a tag but no member.
    history.append(Message(.text, [65].span), name: "Ann", tag: "t3", at: Position(offset: 4, time: 0))
    #expect(history.id(of: "t3") == nil && history.messages(after: 3).map(\.tag) == ["t3"])
  }

  @Test(arguments: [1, 2, 10, 255, 256, 257, 1000])
  func theOldestAreForgotten(_ limit: Int) throws {
    var history = History(maxMessages: limit, maxBytes: 1 << 20)
    for number in 1...3000 {
      history.say("\(number)", tag: "\(number)")
      #expect(history.lastOffset == number && history.oldestOffset == max(1, number - limit + 1))
    }
    #expect(history.texts(after: 0, count: 1) == ["\(history.oldestOffset)"])
    #expect(history.id(of: "3000") == 3000)
    #expect(history.id(of: "\(3000 - limit)") == nil)
    // Dropped messages are freed in chunks of 256.
    #expect(history.bytes <= (limit + 256) * (History.overhead + 120))
  }

  @Test(arguments: [0, 1, 500, 5000, 100_000, 1 << 20])
  func memoryIsBounded(_ limit: Int) {
    var history = History(maxMessages: 100_000, maxBytes: limit)
    var random = SystemRandomNumberGenerator()
    for number in 1...5000 {
      history.say(String(repeating: "x", count: Int.random(in: 0...[10, 100, 3000].randomElement(using: &random)!)))
      #expect(history.bytes <= limit && history.lastOffset == number)
      #expect(history.isEmpty == (history.bytes == 0))
    }
    // Most of the memory is used.
    if limit > 50_000 { #expect(history.bytes > limit * 3 / 4) }
    #expect(history.texts(after: 0).count == min(100, history.lastOffset + 1 - history.oldestOffset))
  }

  @Test func aMessageThatIsTooLargeIsNotKept() {
    var history = History(maxMessages: 10, maxBytes: 1000)
    history.say("first")
    history.say(String(repeating: "x", count: 1000))
    #expect(history.isEmpty && history.lastOffset == 2 && history.bytes == 0)
    history.say("third")
    #expect(history.ids(before: .max) == [3])
  }

  @Test func nothingIsKeptWhenNothingShallBe() throws {
    var history = History(maxMessages: 0, maxBytes: 1000)
    history.say("a")
    history.say("b", tag: "t")
    #expect(history.isEmpty && history.oldestOffset == 3 && history.bytes == 0)
    #expect(history.id(of: "t") == nil && history.texts(after: 0) == [])
  }

  @Test func pages() {
    var history = History(maxMessages: 500, maxBytes: 1 << 20)
    for number in 1...700 { history.say("\(number)") }
    #expect(history.oldestOffset == 201)
    #expect(history.ids(before: .max, count: 3) == [698, 699, 700])
    #expect(history.ids(before: 300, count: 3) == [297, 298, 299])
    #expect(history.ids(before: 203, count: 3) == [201, 202] && !history.page(before: 203, count: 3).more)
    #expect(history.page(before: 204, count: 2).more)
    for id in [201, 200, 1, 0, -1, Int.min] { #expect(history.ids(before: id) == []) }
    #expect(history.texts(after: 697) == ["698", "699", "700"] && !history.page(after: 697, count: 3).more)
    #expect(history.texts(after: 698, count: 1) == ["699"] && history.page(after: 698, count: 1).more)
    #expect(history.texts(after: 0, count: 1) == ["201"] && history.texts(after: Int.min, count: 1) == ["201"])
    for id in [700, 701, Int.max] { #expect(history.texts(after: id) == []) }
    #expect(history.ids(before: .max, count: 1000).count == 100)
    for count in [0, -1, Int.min] { #expect(history.ids(before: .max, count: count) == []) }
  }

  @Test func aPageIsNotTooLarge() {
    var history = History(maxMessages: 500, maxBytes: 1 << 24)
    for number in 1...50 { history.say(String(repeating: "\(number % 10)", count: 40_000)) }
    #expect(history.ids(before: .max) == Array(45...50))
    #expect(history.messages(after: 10).map(\.id) == Array(11...16))
    history.say(String(repeating: "x", count: 1 << 20))
    #expect(history.ids(before: .max) == [51])
  }

  @Test func aPageIsNotTooLargeInJSON() {
    var history = History(maxMessages: 500, maxBytes: 1 << 24)
    for _ in 1...50 { history.say(String(repeating: "\u{1}", count: 10_000)) }
    let page = history.page(before: .max, count: 100)
    #expect(page.messages.count == 4 && page.messages.reduce(0) { $0 + $1.count } <= History.maxPageBytes)
  }

  @Test(arguments: ["\u{1}", "\"", "a", "é", "語", "😀", "a\u{1}é\n語😀"])
  func aLongTextIsCut(_ piece: String) throws {
    let text = String(repeating: piece, count: 3000)
    let message = OwnedMessage(text)
    for limit in 990...1010 {
      let json = MessageEvent(at: Position(offset: 1, time: 2), message.message, maxTextBytes: limit).json
      let read = try #require(ReadMessage(json))
      #expect(read.textBytes == text.utf8.count && json.count <= limit + 100 && json.count > limit - 20)
      #expect(text.utf8.starts(with: try #require(read.text).utf8))
    }
    let whole = MessageEvent(at: Position(offset: 1, time: 2), message.message, maxTextBytes: 6 * text.utf8.count).json
    let read = try #require(ReadMessage(whole))
    #expect(read.text == text && read.textBytes == nil)
  }

  @Test func dropping_frees_the_requested_memory() throws {
    var history = History(maxMessages: 1000, maxBytes: 1 << 20)
    for number in 1...1000 { history.say("\(number)", tag: "\(number)") }
    let bytes = history.bytes
    history.drop(1000)
    #expect(history.bytes <= bytes - 1000 && !history.isEmpty && history.lastOffset == 1000)
    history.drop(.max)
    #expect(history.isEmpty && history.bytes == 0)
    history.say("next")
    #expect(history.ids(before: .max) == [1001])
  }
}

struct HistoryOfAnEngineTests {
  /// Ids from a broker that numbers all rooms together have gaps within a room.
  @Test(arguments: [3, 500]) func idsMayHaveGaps(_ limit: Int) {
    var history = History(maxMessages: limit, maxBytes: 1 << 20)
    for number in 1...1000 {
      history.append(
        Message(.text, Array("\(number)".utf8).span), member: ann, tag: "\(number)",
        at: Position(offset: number * 7, time: 0))
    }
    #expect(history.lastOffset == 7000 && history.oldestOffset == (1001 - limit) * 7)
    #expect(history.ids(before: 6999, count: 2) == [6986, 6993] && history.ids(before: 6994, count: 1) == [6993])
    #expect(history.texts(after: 6986) == ["999", "1000"] && history.texts(after: 6985, count: 1) == ["998"])
    #expect(history.id(of: "999") == 6993 && history.id(of: "\(1000 - limit)") == nil)
    let edge = (1000 - limit) * 7
    #expect(history.isWhole(after: edge) && history.isWhole(after: edge + 1) && !history.isWhole(after: edge - 1))
  }

  @Test func old_messages_are_dropped() {
    var history = History(maxMessages: 1000, maxBytes: 1 << 20)
    for number in 1...600 { history.say("\(number)", at: Int64(number)) }
    history.drop(olderThan: 1)
    #expect(history.oldestOffset == 1)
    history.drop(olderThan: 500)
    #expect(history.oldestOffset == 500 && history.isWhole(after: 499) && !history.isWhole(after: 498))
    let bytes = history.bytes
    history.drop(olderThan: 601)
    #expect(history.isEmpty && history.bytes < bytes && history.lastOffset == 600 && history.oldestOffset == 601)
    history.say("next", at: 700)
    #expect(history.ids(before: .max) == [601])
  }

  @Test func a_snapshot_is_restored() {
    let publications = [4, 9, 11].map { id in
      Publication(
        Draft(kind: .text, bytes: Array("\(id)".utf8), name: "Ann", member: ann, tag: "t\(id)"),
        at: Position(offset: id, time: 5)
      )
    }
    var history = History(maxMessages: 2, maxBytes: 1 << 20)
    history.restore(RoomSnapshot(epoch: "e", lastOffset: 20, publications: publications))
    #expect(history.ids(before: .max) == [9, 11] && history.lastOffset == 20 && history.id(of: "t9") == 9)
    #expect(history.isWhole(after: 4) && !history.isWhole(after: 3))
    var empty = History(maxMessages: 2, maxBytes: 1 << 20)
    empty.restore(RoomSnapshot(epoch: "e", lastOffset: 20, publications: []))
    #expect(empty.isEmpty && empty.isWhole(after: 20) && !empty.isWhole(after: 19) && empty.oldestOffset == 21)
    empty.restore(RoomSnapshot(epoch: "e", lastOffset: 0, publications: []))
    #expect(empty.isWhole(after: 0))
  }
}

struct RoomTableTests {
  @Test func roomsStayWhenTheyAreKept() {
    var rooms = RoomTable<String>()
    #expect(rooms.enter("/a") { "first" } == "first")
    #expect(rooms.enter("/a") { "second" } == "first")
    #expect(rooms.occupancy == ["/a": 2])
    rooms.leave("/a") { _ in false }
    #expect(rooms.occupancy == ["/a": 1])
    rooms.leave("/a") { _ in true }
    #expect(rooms.occupancy == [:] && rooms.count == 1)
    #expect(rooms.enter("/a") { "third" } == "first")
    rooms.leave("/a") { _ in false }
    #expect(rooms.count == 0)
    rooms.leave("/a") { _ in false }
  }

  @Test func theOneLeftLongestAgoGoesFirst() {
    var rooms = RoomTable<String>()
    for name in ["a", "b", "c"] { _ = rooms.enter(name) { name } }
    #expect(
      !rooms.hasCapacity(for: "d", limit: 3) && rooms.hasCapacity(for: "a", limit: 3)
        && rooms.hasCapacity(for: "d", limit: 0))
    for name in ["b", "a", "c"] { rooms.leave(name) { _ in true } }
    // "b" is entered and left again, so it is the latest.
    _ = rooms.enter("b") { "another" }
    rooms.leave("b") { _ in true }
    #expect(rooms.hasCapacity(for: "d", limit: 3))
    #expect(rooms.evict(for: "a", limit: 3) == nil && rooms.evict(for: "d", limit: 3) == "a")
    _ = rooms.enter("d") { "d" }
    #expect(rooms.count == 3 && rooms.removeVacant() == "c" && rooms.removeVacant() == "b")
    #expect(rooms.removeVacant() == nil && rooms.occupancy == ["d": 1])
  }

  @Test func thoseLeftLatelyCanBeSpared() {
    var rooms = RoomTable<String>()
    for name in ["a", "b"] { _ = rooms.enter(name) { name } }
    rooms.leave("b") { _ in true }
    let between = ContinuousClock.now
    rooms.leave("a") { _ in true }
    #expect(rooms.removeVacant(vacantBefore: between) == "b" && rooms.removeVacant(vacantBefore: between) == nil)
    #expect(rooms.hasVacancy && rooms.removeVacant() == "a" && !rooms.hasVacancy)
  }

  @Test func comingAndGoingTakesNoMemory() {
    var rooms = RoomTable<Int>()
    for number in 0..<10_000 {
      _ = rooms.enter("/\(number % 7)") { number }
      rooms.leave("/\(number % 7)") { _ in true }
    }
    #expect(rooms.count == 7 && rooms.vacancies.count <= 2 * 7 + 16)
    #expect((0..<7).map { _ in rooms.removeVacant() } == [4, 5, 6, 0, 1, 2, 3])
  }
}
