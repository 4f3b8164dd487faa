import Confab
import FoundationEssentials

@testable import ConfabChat

/// A ``History`` under random messages and queries. The model keeps every message: the history must have the newest
/// ones, unchanged, complete and within the limits.
func fuzzHistory(_ input: inout Input) {
  var model = Model(
    maxMessages: input.element(of: [0, 1, 3, 100, 255, 256, 1000]),
    maxBytes: input.element(of: [0, 1, 64, 500, 10_000, 100_000, 1 << 20]))
  for _ in 0..<2000 where !input.isEmpty { model.step(&input) }
}

private struct Model {
  let maxMessages: Int
  let maxBytes: Int
  var history: History
  /// All entries; an entry's index is its offset less 1.
  var said: [Entry] = []

  struct Entry {
    var kind = EntryKind.message
    var member: Member?
    var tag: String?
    var size: Int
    var isText = true
    var isRemoved = false
  }

  init(maxMessages: Int, maxBytes: Int) {
    (self.maxMessages, self.maxBytes) = (maxMessages, maxBytes)
    history = History(maxMessages: maxMessages, maxBytes: maxBytes)
  }

  mutating func step(_ input: inout Input) {
    let size = input.element(of: [0, 1, 64, 1000, 16_383, 16_384, 70_000])
    let bytes = [UInt8](repeating: UInt8(ascii: "x"), count: size)
    switch input.index(below: 10) {
    case 0, 1, 2: say(.text, bytes)
    case 3: say(.binary, bytes)
    case 4: say(.text, bytes, Member(number: UInt64(input.index(below: 2))), tag: "tag\(input.index(below: 15))")
    case 5:
      let (before, count) = (history.bytes, Int(input.byte()) * 1000)
      history.drop(count)
      require(history.bytes <= max(0, before - count), "\(history.bytes) of \(before) less \(count)")
    case 6: change(.edit(of: edge(&input)), bytes)
    case 7: change(.removal(of: edge(&input)), [])
    case 8: ask(before: edge(&input), count: input.index(below: 120))
    default: ask(after: edge(&input), count: input.index(below: 120))
    }
    check()
  }

  mutating func say(_ kind: Message.Kind, _ bytes: [UInt8], _ member: Member? = nil, tag: String? = nil) {
    said.append(Entry(member: member, tag: tag, size: bytes.count, isText: kind == .text))
    let position = Position(offset: said.count, time: Int64(history.lastOffset))
    let event = MessageEvent(
      at: position, Message(kind, bytes.span), from: tag.map { _ in "Ann" }, member: member, tag: tag)
    history.append(event.json, member: member, tag: tag, at: position)
    require(history.lastOffset == said.count, "\(history.lastOffset) for message \(said.count)")
    if maxMessages > 0 && bytes.count + 300 <= maxBytes { require(!history.isEmpty, "the newest message is not kept") }
  }

  mutating func change(_ kind: EntryKind, _ bytes: [UInt8]) {
    guard let target = kind.target, Position.offsets.contains(target), target <= history.lastOffset else { return }
    let isKept = target >= history.oldestOffset
    let isChangeable = isKept && said[target - 1].kind == .message && !said[target - 1].isRemoved
    require((history.author(at: target) != nil) == isChangeable, "whether \(target) can be changed is \(!isChangeable)")
    let isEdit = kind == .edit(of: target)
    let position = Position(offset: said.count + 1, time: Int64(history.lastOffset))
    history.append(
      change: Publication(
        Draft(kind, kind: .text, bytes: bytes, name: "Ann", member: Member(number: 1)),
        at: position))
    said.append(Entry(kind: kind, size: bytes.count))
    require(history.lastOffset == said.count, "\(history.lastOffset) for change \(said.count)")
    guard isChangeable else { return }
    said[target - 1].size = bytes.count
    said[target - 1].isText = true
    said[target - 1].isRemoved = !isEdit
  }

  func edge(_ input: inout Input) -> Int {
    let id = input.element(of: [
      Int.min, 0, history.oldestOffset - 1, history.oldestOffset, history.lastOffset, history.lastOffset + 1, .max,
    ])
    return 1...100_000 ~= id ? id + input.index(below: 3) : id
  }

  func check() {
    let kept = history.lastOffset + 1 - history.oldestOffset
    require(0...maxMessages ~= kept, "\(kept) messages are kept")
    require(
      history.bytes <= maxBytes && (history.bytes > 0 || kept == 0), "\(history.bytes) bytes for \(kept) messages")
    for number in 0..<30 {
      let member = Member(number: UInt64(number % 2))
      let tag = "tag\(number / 2)"
      let newest = said.lastIndex { $0.member == member && $0.tag == tag }.map { $0 + 1 } ?? 0
      let found = history.message(with: MemberTag(member: member, tag: tag))
      require(
        found.map { ReadMessage($0.json).id } ?? 0 == (newest >= history.oldestOffset ? newest : 0),
        "\(tag) is not \(newest)")
    }
  }

  func ask(before id: Int, count: Int) {
    let (page, more) = history.page(before: id, count: count)
    let messages = page.map { ReadMessage($0) }
    check(messages, count: count)
    let end = min(max(id, history.oldestOffset), history.lastOffset + 1)
    require(
      messages.last.map { $0.id == end - 1 } ?? (count == 0 || end == history.oldestOffset),
      "\(messages.count) before \(id)")
    require(more == ((messages.first?.id ?? end) > history.oldestOffset), "more before \(id): \(more)")
  }

  func ask(after id: Int, count: Int) {
    let (page, more) = history.page(after: id, count: count)
    let messages = page.map { ReadMessage($0) }
    check(messages, count: count)
    let start = id >= history.lastOffset ? history.lastOffset + 1 : max(id + 1, history.oldestOffset)
    require(
      messages.first.map { $0.id == start } ?? (count == 0 || start > history.lastOffset),
      "\(messages.count) after \(id)")
    require(more == ((messages.last?.id ?? start - 1) < history.lastOffset), "more after \(id): \(more)")
  }

  /// Checks that a page's messages are in order and unchanged.
  func check(_ messages: [ReadMessage], count: Int) {
    require(messages.count <= min(count, History.maxPage), "\(messages.count) messages, not \(count)")
    require(
      messages.count < 2 || messages.reduce(0) { $0 + ($1.text?.utf8.count ?? 0) } <= History.maxPageBytes, "too large")
    for (index, message) in messages.enumerated() {
      require(message.id == messages[0].id + index && message.id >= history.oldestOffset, "id \(message.id)")
      let entry = said[message.id - 1]
      require(message.at == message.id - 1, "message \(message.id) is another one")
      if let target = entry.kind.target {
        require(message.message == target, "\(message.id) changes \(message.message ?? 0), not \(target)")
        // A superseded edit has no text.
        require(message.text.map { $0.utf8.count == entry.size } ?? true, "change \(message.id) has another size")
        continue
      }
      require(message.member == entry.member?.text && message.tag == entry.tag, "message \(message.id) is another one")
      require((message.removed ?? false) == entry.isRemoved, "message \(message.id) is removed, or is not")
      require(
        (entry.isText ? message.text?.utf8.count : message.binary) == entry.size,
        "message \(message.id) has another size")
    }
  }
}

/// A message as read from its JSON.
private struct ReadMessage: Decodable {
  let id, at: Int
  let member, tag, text: String?
  let binary, message: Int?
  let removed: Bool?

  init(_ json: ArraySlice<UInt8>) {
    do { self = try JSONDecoder().decode(ReadMessage.self, from: Data(json)) } catch { preconditionFailure("\(error)") }
  }
}
