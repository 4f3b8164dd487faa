internal import Confab
internal import DequeModule

/// The newest messages of a room, each stored as the JSON of its ``MessageEvent``. The JSON is made once, so the
/// counted bytes are those in memory and on the wire, and a page is a copy of them.
///
/// Offsets may have gaps, so messages also have an internal `index` without gaps. The oldest messages over the limits
/// are dropped. The limit of bytes drops whole chunks.
struct History {
  /// Maximum overhead of a message beside its bytes.
  static let overhead = 64
  /// Maximum number of messages on a page.
  static let maxPage = 100
  /// Maximum size of a page in bytes of JSON. A page has at least one message, of any size.
  static let maxPageBytes = 256 << 10

  private let maxMessages: Int
  private let maxBytes: Int
  /// Full chunks, ordered and without gaps.
  private var chunks: Deque<HistoryChunk> = []
  /// The newest chunk, to which messages are appended.
  private var open = HistoryChunk(first: 1)
  /// Index of each message with a tag, by the hash of member and tag. Hashes may collide.
  private var tags: [Int: Int] = [:]
  private var lastIndex = 0
  /// Whether the messages are in order of time. They are not if the clock was set back.
  private var isInOrderOfTime = true
  private var lastTime = Int64.min
  private var oldestIndex = 1
  /// Offset of the newest dropped message, or 0.
  private var lastDropped = 0

  /// Offset of the newest message; 0 without messages.
  private(set) var lastOffset = 0
  /// Number of bytes used.
  private(set) var bytes = 0

  init(maxMessages: Int, maxBytes: Int) { (self.maxMessages, self.maxBytes) = (maxMessages, maxBytes) }

  var isEmpty: Bool { oldestIndex > lastIndex }

  /// Offset of the oldest stored message; ``lastOffset`` + 1 without messages.
  var oldestOffset: Int { isEmpty ? lastOffset + 1 : position(oldestIndex).offset }

  /// Messages, oldest first, and whether there are more in the requested direction.
  typealias Page = (messages: [ArraySlice<UInt8>], more: Bool)

  // MARK: Appending

  /// Appends a message, whose offset must be above all others.
  mutating func append(_ json: [UInt8], member: Member? = nil, tag: String? = nil, at position: Position) {
    append(json, member: member, tag: tag, at: position, .message)
  }

  private mutating func append(
    _ json: [UInt8], member: Member? = nil, tag: String? = nil, at position: Position, _ kind: StoredMessage.Kind
  ) {
    lastOffset = position.offset
    guard maxMessages > 0 else { return lastDropped = lastOffset }
    if open.messages.count == HistoryChunk.maxMessages || open.size >= min(HistoryChunk.maxBytes, maxBytes / 16) {
      seal()
    }
    if isEmpty { (isInOrderOfTime, lastTime) = (true, .min) }
    if position.time < lastTime { isInOrderOfTime = false }
    lastTime = position.time
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
    open.messages.append(
      StoredMessage(position: position, end: open.bytes.count, tagCount: tagCount, kind: kind))
    bytes += open.bytes.count - size + History.overhead
    if lastIndex - oldestIndex >= maxMessages { drop(before: lastIndex + 1 - maxMessages) }
    while bytes > maxBytes { dropChunk() }
  }

  /// Restores an engine's snapshot into an empty history.
  mutating func restore(_ snapshot: RoomSnapshot, maxTextBytes: Int = .max) {
    let first = snapshot.publications.first?.position.offset ?? snapshot.lastOffset + 1
    (lastOffset, lastDropped) = (snapshot.lastOffset, first - 1)
    for publication in snapshot.publications {
      if publication.draft.entry.target != nil {
        append(change: publication)
      } else {
        let event = MessageEvent(publication, maxTextBytes: maxTextBytes)
        append(event.json, member: event.member, tag: event.tag, at: publication.position)
      }
    }
    lastOffset = max(lastOffset, snapshot.lastOffset)
  }

  // MARK: Changing

  /// Appends a change of a message, and applies it if the message is stored. Returns the change as JSON. The JSON has
  /// no text if the message was removed before.
  @discardableResult
  mutating func append(change publication: Publication) -> [UInt8] {
    let draft = publication.draft
    var event = ChangeEvent(at: publication.position, draft.entry, by: draft.name, text: nil)
    let target = draft.entry.target.flatMap { index($0) }
    let kind = target.map { chunk(of: $0).message($0).kind }
    if case .edit = draft.entry, kind != .removedMessage { event.text = String(decoding: draft.bytes, as: UTF8.self) }
    let json = event.json
    append(json, at: publication.position, .change)
    guard let target, target >= oldestIndex, kind == .message, let old = chatMessage(target) else { return json }
    let edit = chunk(of: target).message(target).edit
    if edit >= oldestIndex, let superseded = chatMessage(edit) { replace(edit, ChangeEvent(superseded).json) }
    let isRemoved = event.text == nil
    replace(
      target, MessageEvent(old, text: event.text).json, edit: isRemoved ? 0 : lastIndex, isRemoved: isRemoved)
    while bytes > maxBytes { dropChunk() }
    return json
  }

  /// Sender and time of a message. They are found without parsing the message, so that any client may cause the lookup.
  struct Author {
    /// Nil for a client of the plain protocol.
    let member: Member?
    let time: Int64
  }

  /// Returns the author of a message that can be changed; nil if it is not stored, or was removed.
  func author(at offset: Int) -> Author? {
    guard let index = index(offset) else { return nil }
    let chunk = chunk(of: index)
    guard chunk.message(index).kind == .message else { return nil }
    return Author(member: key(of: index, in: chunk)?.member, time: position(index).time)
  }

  private func chatMessage(_ index: Int) -> ChatMessage? { ChatMessage(json(index), epoch: "") }

  private func index(_ offset: Int) -> Int? {
    let index = firstIndex { $0.offset >= offset }
    return index <= lastIndex && position(index).offset == offset ? index : nil
  }

  private mutating func replace(_ index: Int, _ json: [UInt8], edit: Int = 0, isRemoved: Bool = false) {
    if index >= open.first {
      bytes += open.replace(index, json, edit: edit, isRemoved: isRemoved)
    } else {
      let chunk = chunks.indices.firstInSorted { chunks[$0].end > index }
      bytes += chunks[chunk].replace(index, json, edit: edit, isRemoved: isRemoved)
    }
  }

  /// Begins a new chunk, with the capacity that the full chunk needed.
  private mutating func seal() {
    if open.messages.isEmpty { return }
    open.shrink()
    chunks.append(open)
    var next = HistoryChunk(first: lastIndex + 1)
    next.messages.reserveCapacity(open.messages.count)
    next.bytes.reserveCapacity(min(open.bytes.count, 2 * HistoryChunk.maxBytes))
    open = next
  }

  /// Frees the spare capacity of the newest chunk.
  mutating func shrink() { open.shrink() }

  // MARK: Dropping

  /// Drops the oldest messages, until at least `count` bytes are free or no message is left.
  mutating func drop(_ count: Int) {
    let goal = bytes - count
    while bytes > max(goal, 0) { dropChunk() }
  }

  /// Drops the messages before a time, in milliseconds since 1970.
  mutating func drop(olderThan time: Int64) {
    if isEmpty { return }
    // An expired message is dropped together with all messages before it.
    let end =
      isInOrderOfTime
      ? firstIndex { $0.time >= time }
      : ((oldestIndex...lastIndex).last { position($0).time < time }.map { $0 + 1 } ?? oldestIndex)
    if end > oldestIndex { drop(before: end) }
  }

  private mutating func drop(before index: Int) {
    lastDropped = position(index - 1).offset
    oldestIndex = index
    while (chunks.first?.end ?? open.end) <= oldestIndex, bytes > 0 { dropChunk() }
  }

  private mutating func dropChunk() {
    let chunk = chunks.isEmpty ? open : chunks.removeFirst()
    if chunk.first == open.first { open = HistoryChunk(first: lastIndex + 1) }
    for index in chunk.first..<chunk.end {
      if let key = key(of: index, in: chunk)?.hashValue, tags[key] == index { tags[key] = nil }
    }
    bytes -= chunk.size
    if chunk.end > oldestIndex, let message = chunk.messages.last {
      (oldestIndex, lastDropped) = (chunk.end, message.position.offset)
    }
  }

  // MARK: Reading

  /// Returns the position and the JSON of the message with this key; nil if the message is not stored.
  func message(with key: MemberTag) -> (position: Position, json: ArraySlice<UInt8>)? {
    guard let index = tags[key.hashValue], index >= oldestIndex else { return nil }
    return self.key(of: index, in: chunk(of: index)) == key ? (position(index), json(index)) : nil
  }

  /// Returns whether all messages after `offset` are stored.
  func isWhole(after offset: Int) -> Bool { offset >= lastDropped }

  /// Returns the oldest messages after `offset` that fit on a page, and whether there are more after them.
  func page(after offset: Int, count: Int) -> Page {
    let first = firstIndex { $0.offset > offset }
    let end = first + fitting(count, of: first..<lastIndex + 1)
    return ((first..<end).map(json), end <= lastIndex)
  }

  /// Returns the newest messages before `offset` that fit on a page, oldest first, and whether there are more before
  /// them.
  func page(before offset: Int, count: Int) -> Page {
    let end = firstIndex { $0.offset >= offset }
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

  /// Returns the index of the first stored message for which the predicate is true, or the index after the last
  /// message. The predicate must be false up to some message and true after it.
  private func firstIndex(where isBehind: (Position) -> Bool) -> Int {
    (oldestIndex..<lastIndex + 1).firstInSorted { isBehind(position($0)) }
  }

  private func chunk(of index: Int) -> HistoryChunk {
    index >= open.first ? open : chunks[chunks.indices.firstInSorted { chunks[$0].end > index }]
  }

  private func position(_ index: Int) -> Position { chunk(of: index).message(index).position }

  private func key(of index: Int, in chunk: HistoryChunk) -> MemberTag? {
    chunk.message(index).key(in: chunk.bytes(index))
  }

  private func json(_ index: Int) -> ArraySlice<UInt8> {
    let chunk = chunk(of: index)
    return chunk.bytes(index).dropFirst(chunk.message(index).keyCount)
  }
}

extension Range<Int> {
  /// Returns the first number for which the predicate is true, or the end of the range. The predicate must be false up
  /// to some number and true after it. Binary search.
  fileprivate func firstInSorted(where predicate: (Int) -> Bool) -> Int {
    var (low, high) = (lowerBound, upperBound)
    while low < high {
      let middle = (low + high) / 2
      if predicate(middle) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
