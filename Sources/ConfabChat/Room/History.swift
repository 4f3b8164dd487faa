internal import Confab

/// The newest messages of a room, each as the JSON of its ``MessageEvent``, which is made once: what a page takes in memory
/// and on the wire is what is counted here, and to make one is to copy it.
///
/// Within, messages are numbered without gaps, which ids may have: their `index`. Those over the limits are forgotten,
/// the oldest first; over that of bytes, some at a time.
struct History {
  /// What a message takes beside its bytes, at the most.
  static let overhead = 64
  /// The most messages in one answer …
  static let maxPage = 100
  /// … and the most bytes of them, as they are sent, though always one message.
  static let maxPageBytes = 256 << 10

  private let maxMessages: Int
  private let maxBytes: Int
  /// Ordered and without gaps.
  private var chunks: [Chunk] = []
  /// The one behind them, which messages are appended to.
  private var open = Chunk(first: 1)
  /// Where messages with a tag are, by the hash of member and tag: others may have the same.
  private var tags: [Int: Int] = [:]
  private var lastIndex = 0
  /// Whether no message is older than one before it, as when the clock was set back.
  private var isInOrderOfTime = true
  private var lastTime = Int64.min
  private var oldestIndex = 1
  /// The id of the newest message that has been forgotten, or 0.
  private var forgotten = 0

  /// The id of the newest message; 0 when there has been none.
  private(set) var last = 0
  /// The bytes that are taken.
  private(set) var bytes = 0

  init(maxMessages: Int, maxBytes: Int) { (self.maxMessages, self.maxBytes) = (maxMessages, maxBytes) }

  var isEmpty: Bool { oldestIndex > lastIndex }

  /// The id of the oldest message that is kept; ``last`` + 1 when there is none.
  var oldest: Int { isEmpty ? last + 1 : place(oldestIndex).id }

  /// A stretch of messages. Its memory is given back when all of them have been forgotten.
  private struct Chunk {
    static let maxBytes = 16 << 10
    static let maxMessages = 256

    /// The index of the first one.
    let first: Int
    var entries: [Entry] = []
    var bytes: [UInt8] = []

    /// The index behind the last one.
    var end: Int { first + entries.count }
    /// What it takes.
    var size: Int { bytes.count + entries.count * History.overhead }

    func entry(_ index: Int) -> Entry { entries[index - first] }

    /// Gives back the memory that was kept for more messages.
    mutating func shrink() {
      if entries.capacity > entries.count + entries.count / 4 { entries = entries.withoutSpareCapacity }
      if bytes.capacity > bytes.count + bytes.count / 4 { bytes = bytes.withoutSpareCapacity }
    }

    func bytes(_ index: Int) -> ArraySlice<UInt8> {
      bytes[(index > first ? entry(index - 1).end : 0)..<entry(index).end]
    }
  }

  private struct Entry {
    let place: Place
    /// Where its bytes end: those of the member and of the tag, if it has both, and the JSON.
    let end: Int
    let tagCount: UInt8

    /// How many bytes there are before the JSON.
    var keyCount: Int { tagCount > 0 ? Member.byteCount + Int(tagCount) : 0 }

    func key(in bytes: ArraySlice<UInt8>) -> MemberTag? {
      guard tagCount > 0 else { return nil }
      return MemberTag(
        member: Member(bytes: bytes.prefix(Member.byteCount)),
        tag: String(decoding: bytes.prefix(keyCount).dropFirst(Member.byteCount), as: UTF8.self))
    }
  }

  /// Some messages, oldest first, and whether there are more in the direction that was asked for.
  typealias Page = (messages: [ArraySlice<UInt8>], more: Bool)

  // MARK: Appending

  /// Appends a message whose place is above that of all others.
  mutating func append(_ json: [UInt8], member: Member? = nil, tag: String? = nil, at place: Place) {
    last = place.id
    guard maxMessages > 0 else { return forgotten = last }
    if open.entries.count == Chunk.maxMessages || open.size >= min(Chunk.maxBytes, maxBytes / 16) { seal() }
    if isEmpty { (isInOrderOfTime, lastTime) = (true, .min) }
    if place.at < lastTime { isInOrderOfTime = false }
    lastTime = place.at
    lastIndex += 1
    let size = open.bytes.count
    var tagCount: UInt8 = 0
    if let key = MemberTag(member, tag), let count = UInt8(exactly: key.tag.utf8.count) {
      tags[key.hashValue] = lastIndex
      open.bytes += key.member.bytes
      open.bytes += key.tag.utf8
      tagCount = count
    }
    open.bytes += json
    open.entries.append(Entry(place: place, end: open.bytes.count, tagCount: tagCount))
    bytes += open.bytes.count - size + History.overhead
    if lastIndex - oldestIndex >= maxMessages { forget(before: lastIndex + 1 - maxMessages) }
    while bytes > maxBytes { forgetChunk() }
  }

  /// Begins with what an engine has kept.
  mutating func restore(_ kept: Kept, maxTextBytes: Int = .max) {
    (last, forgotten) = (kept.last, (kept.posts.first?.place.id ?? kept.last + 1) - 1)
    for placed in kept.posts {
      let event = MessageEvent(placed, maxTextBytes: maxTextBytes)
      append(event.json, member: event.member, tag: event.tag, at: placed.place)
    }
    last = max(last, kept.last)
  }

  /// Begins another chunk, which will probably be like the one that is full.
  private mutating func seal() {
    if open.entries.isEmpty { return }
    open.shrink()
    chunks.append(open)
    var next = Chunk(first: lastIndex + 1)
    next.entries.reserveCapacity(open.entries.count)
    next.bytes.reserveCapacity(min(open.bytes.count, 2 * Chunk.maxBytes))
    open = next
  }

  /// Gives back the memory that was kept for more messages: there may be none for long.
  mutating func shrink() { open.shrink() }

  // MARK: Forgetting

  /// Forgets the oldest messages, so that at least `count` bytes are free again, or none is left.
  mutating func forget(_ count: Int) {
    let goal = bytes - count
    while bytes > max(goal, 0) { forgetChunk() }
  }

  /// Forgets the messages from before a time, in milliseconds since 1970.
  mutating func forget(olderThan time: Int64) {
    if isEmpty { return }
    // Messages before one that is too old go with it.
    let end =
      isInOrderOfTime
      ? firstIndex { $0.at >= time }
      : ((oldestIndex...lastIndex).last { place($0).at < time }.map { $0 + 1 } ?? oldestIndex)
    if end > oldestIndex { forget(before: end) }
  }

  private mutating func forget(before index: Int) {
    forgotten = place(index - 1).id
    oldestIndex = index
    while (chunks.first?.end ?? open.end) <= oldestIndex, bytes > 0 { forgetChunk() }
  }

  private mutating func forgetChunk() {
    let chunk = chunks.isEmpty ? open : chunks.removeFirst()
    if chunk.first == open.first { open = Chunk(first: lastIndex + 1) }
    for index in chunk.first..<chunk.end {
      if let key = key(of: index, in: chunk)?.hashValue, tags[key] == index { tags[key] = nil }
    }
    bytes -= chunk.size
    if chunk.end > oldestIndex, let entry = chunk.entries.last {
      (oldestIndex, forgotten) = (chunk.end, entry.place.id)
    }
  }

  // MARK: Asking

  /// The JSON of the member's message that has the tag; nil if there is none.
  func message(with tag: Tag, of member: Member) -> ArraySlice<UInt8>? {
    let key = MemberTag(member: member, tag: tag.text)
    guard let index = tags[key.hashValue], index >= oldestIndex else { return nil }
    return self.key(of: index, in: chunk(of: index)) == key ? json(index) : nil
  }

  /// Whether nothing has been forgotten of what was said behind `id`.
  func isWhole(after id: Int) -> Bool { id >= forgotten }

  /// The oldest of the messages behind `id`, as many as fit a page, and whether there are more behind them.
  func page(after id: Int, count: Int) -> Page {
    let first = firstIndex { $0.id > id }
    let end = first + fitting(count, of: first..<lastIndex + 1)
    return ((first..<end).map(json), end <= lastIndex)
  }

  /// The newest of the messages before `id`, as many as fit a page, oldest first, and whether there are more before them.
  func page(before id: Int, count: Int) -> Page {
    let end = firstIndex { $0.id >= id }
    let first = end - fitting(count, of: (oldestIndex..<end).reversed())
    return ((first..<end).map(json), first > oldestIndex)
  }

  private func fitting(_ count: Int, of indices: some Sequence<Int>) -> Int {
    var (messages, bytes) = (0, 0)
    for index in indices.prefix(max(0, min(count, History.maxPage))) {
      bytes += json(index).count + 1
      if bytes > History.maxPageBytes && messages > 0 { break }
      messages += 1
    }
    return messages
  }

  /// The index of the first message that is kept whose place is as said; behind the last one if there is none. All before
  /// it are not, all after it are.
  private func firstIndex(where isBehind: (Place) -> Bool) -> Int {
    var (low, high) = (oldestIndex, lastIndex + 1)
    while low < high {
      let middle = (low + high) / 2
      if isBehind(place(middle)) { high = middle } else { low = middle + 1 }
    }
    return low
  }

  private func chunk(of index: Int) -> Chunk {
    if index >= open.first { return open }
    var (low, high) = (0, chunks.count - 1)
    while low < high {
      let middle = (low + high) / 2
      if chunks[middle].end <= index { low = middle + 1 } else { high = middle }
    }
    return chunks[low]
  }

  private func place(_ index: Int) -> Place { chunk(of: index).entry(index).place }

  private func key(of index: Int, in chunk: Chunk) -> MemberTag? { chunk.entry(index).key(in: chunk.bytes(index)) }

  private func json(_ index: Int) -> ArraySlice<UInt8> {
    let chunk = chunk(of: index)
    return chunk.bytes(index).dropFirst(chunk.entry(index).keyCount)
  }
}

extension Array {
  fileprivate var withoutSpareCapacity: [Element] {
    var copy: [Element] = []
    copy.reserveCapacity(count)
    copy.append(contentsOf: self)
    return copy
  }
}
