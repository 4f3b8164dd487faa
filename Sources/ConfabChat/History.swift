internal import Confab

/// The newest messages of a room, as bytes in a row: nothing is encoded, or made an object of, until somebody asks.
///
/// A message's id is how many have been said in the room up to it. Those over the limits are forgotten, the oldest first;
/// over that of bytes, some at a time.
struct History {
  /// What a message takes beside its bytes, at the most.
  static let overhead = 64
  /// The most messages in one answer …
  static let maxPage = 100
  /// … and the most bytes of them, though always one message.
  static let maxPageBytes = 256 << 10

  private let maxMessages: Int
  private let maxBytes: Int
  /// Ordered and without gaps.
  private var chunks: [Chunk] = []
  /// The one behind them, which messages are appended to.
  private var open = Chunk(first: 1)
  /// Where messages with a tag are, by the tag's hash: others may have the same.
  private var tags: [Int: Int] = [:]

  /// The id of the newest message; 0 when there has been none.
  private(set) var last = 0
  /// The id of the oldest message that is kept; ``last`` + 1 when there is none.
  private(set) var oldest = 1
  /// The bytes that are taken.
  private(set) var bytes = 0

  init(maxMessages: Int, maxBytes: Int) { (self.maxMessages, self.maxBytes) = (maxMessages, maxBytes) }

  var isEmpty: Bool { oldest > last }

  /// A stretch of messages. Its memory is given back when all of them have been forgotten.
  private struct Chunk {
    static let maxBytes = 16 << 10
    static let maxMessages = 256

    let first: Int
    var entries: [Entry] = []
    var bytes: [UInt8] = []

    /// The id behind the last one.
    var end: Int { first + entries.count }
    /// What it takes.
    var size: Int { bytes.count + entries.count * History.overhead }

    func bytes(of id: Int) -> ArraySlice<UInt8> {
      let index = id - first
      return bytes[(index > 0 ? Int(entries[index - 1].end) : 0)..<Int(entries[index].end)]
    }
  }

  private struct Entry {
    /// Milliseconds since 1970.
    let at: Int64
    /// Where its bytes end: those of the name, of the tag, and of the text.
    let end: Int32
    /// How many bytes a binary message had, which are not kept; -1 for text.
    var binary: Int32 = -1
    var nameCount: UInt8 = 0
    var tagCount: UInt8 = 0
  }

  // MARK: Appending

  /// Appends what somebody without a name has said, and returns its id.
  mutating func append(_ message: Message, at: Int64) -> Int {
    append { chunk in
      let isText = message.kind == .text
      if isText { chunk.bytes.append(message) }
      return Entry(at: at, end: Int32(chunk.bytes.count), binary: isText ? -1 : Int32(message.bytes.count))
    }
  }

  /// Appends what `name` has said, and returns its id.
  mutating func append(_ text: Text, from name: Name, tag: Tag, at: Int64) -> Int {
    if maxMessages > 0 { tags[tag.text.hashValue] = last + 1 }
    return append { chunk in
      chunk.bytes += name.text.utf8
      chunk.bytes += tag.text.utf8
      chunk.bytes += text.text.utf8
      return Entry(
        at: at, end: Int32(chunk.bytes.count), nameCount: UInt8(name.text.utf8.count),
        tagCount: UInt8(tag.text.utf8.count))
    }
  }

  private mutating func append(_ write: (inout Chunk) -> Entry) -> Int {
    last += 1
    guard maxMessages > 0 else {
      oldest = last + 1
      return last
    }
    if open.entries.count == Chunk.maxMessages || open.size >= min(Chunk.maxBytes, maxBytes / 16) { seal() }
    let size = open.bytes.count
    open.entries.append(write(&open))
    bytes += open.bytes.count - size + History.overhead
    oldest = max(oldest, last + 1 - maxMessages)
    while bytes > maxBytes || (chunks.first?.end ?? .max) <= oldest { forgetChunk() }
    return last
  }

  /// Begins another chunk, which will probably be like the one that is full.
  private mutating func seal() {
    if open.entries.isEmpty { return }
    chunks.append(open)
    var next = Chunk(first: last)
    next.entries.reserveCapacity(open.entries.count)
    next.bytes.reserveCapacity(min(open.bytes.count, 2 * Chunk.maxBytes))
    open = next
  }

  /// Forgets the oldest messages, so that at least `count` bytes are free again, or none is left.
  mutating func forget(_ count: Int) {
    let goal = bytes - count
    while bytes > max(goal, 0) { forgetChunk() }
  }

  private mutating func forgetChunk() {
    let chunk = chunks.isEmpty ? open : chunks.removeFirst()
    if chunk.first == open.first { open = Chunk(first: last + 1) }
    for id in chunk.first..<chunk.end {
      if let tag = tag(of: id, in: chunk), tags[tag.hashValue] == id { tags[tag.hashValue] = nil }
    }
    bytes -= chunk.size
    oldest = max(oldest, chunk.end)
  }

  // MARK: Asking

  /// The id of the message that has the tag; nil if there is none.
  func id(of tag: Tag) -> Int? {
    guard let id = tags[tag.text.hashValue], id >= oldest, self.tag(of: id, in: chunk(of: id)) == tag.text else {
      return nil
    }
    return id
  }

  /// A message that is kept.
  func message(_ id: Int) -> MessageEvent { message(id, in: chunk(of: id)) }

  /// Whether nothing has been forgotten of what was said behind `id`.
  func isWhole(after id: Int) -> Bool { id >= oldest - 1 }

  /// The oldest of the messages behind `id`, as many as fit a page, and whether there are more behind them.
  func page(after id: Int, count: Int) -> (messages: [MessageEvent], more: Bool) {
    let first = max(min(id, last) + 1, oldest)
    let end = first + fitting(count, of: first..<last + 1)
    return ((first..<end).map(message), end <= last)
  }

  /// The newest of the messages before `id`, as many as fit a page, oldest first, and whether there are more before them.
  func page(before id: Int, count: Int) -> (messages: [MessageEvent], more: Bool) {
    let end = max(min(id, last + 1), oldest)
    let first = end - fitting(count, of: (oldest..<end).reversed())
    return ((first..<end).map(message), first > oldest)
  }

  private func fitting(_ count: Int, of ids: some Sequence<Int>) -> Int {
    var (messages, bytes) = (0, 0)
    for id in ids.prefix(max(0, min(count, History.maxPage))) {
      bytes += size(of: id, in: chunk(of: id))
      if bytes > History.maxPageBytes && messages > 0 { break }
      messages += 1
    }
    return messages
  }

  private func chunk(of id: Int) -> Chunk {
    if id >= open.first { return open }
    var (low, high) = (0, chunks.count - 1)
    while low < high {
      let middle = (low + high) / 2
      if chunks[middle].end <= id { low = middle + 1 } else { high = middle }
    }
    return chunks[low]
  }

  private func size(of id: Int, in chunk: Chunk) -> Int { chunk.bytes(of: id).count + History.overhead }

  private func tag(of id: Int, in chunk: Chunk) -> String? {
    let entry = chunk.entries[id - chunk.first]
    guard entry.tagCount > 0 else { return nil }
    let bytes = chunk.bytes(of: id).dropFirst(Int(entry.nameCount)).prefix(Int(entry.tagCount))
    return String(decoding: bytes, as: UTF8.self)
  }

  private func message(_ id: Int, in chunk: Chunk) -> MessageEvent {
    let entry = chunk.entries[id - chunk.first]
    let bytes = chunk.bytes(of: id)
    let text = bytes.dropFirst(Int(entry.nameCount) + Int(entry.tagCount))
    return MessageEvent(
      id: id, at: entry.at,
      from: entry.nameCount > 0 ? String(decoding: bytes.prefix(Int(entry.nameCount)), as: UTF8.self) : nil,
      tag: tag(of: id, in: chunk),
      text: entry.binary < 0 ? String(decoding: text, as: UTF8.self) : nil,
      binary: entry.binary < 0 ? nil : Int(entry.binary))
  }
}
