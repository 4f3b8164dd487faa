/// A stretch of a log: whole frames, as they go to the sockets, for one write.
struct Segment {
  /// The most bytes in one segment, and in one write: four frames of the greatest size fit. Larger ones would save few
  /// writes more, and what a full socket does not take of one, libwebsockets copies.
  static let limit = 4 * (Frame.maxPayload + Frame.maxHeader)

  /// The open segment keeps its memory for what comes next if it has no more than this, in bytes.
  static let reusedCapacity = 16 * 1024

  /// The position of the first byte in the log.
  var start: Int
  var bytes: [UInt8] = []
  /// How many cursors stand in this segment: it is kept while there is one in it or before it.
  var cursors = 0

  var end: Int { start + bytes.count }
}

/// A piece of a log to be written: the bytes `range` of `bytes`, which are whole frames.
struct Slice {
  let bytes: [UInt8]
  let range: Range<Int>
  var count: Int { range.count }
}

/// Consecutive segments: messages are appended at the end, read by position, and forgotten once every cursor is past.
///
/// A position counts the bytes since the queue began, so it stays valid when others are forgotten. Positions that
/// cursors have are starts of frames.
struct SegmentQueue {
  /// Those that nothing is appended to any more, ordered and without gaps.
  private var full: [Segment] = []
  /// The index of the first one that is kept: those before it have been forgotten.
  private var head = 0
  /// The one behind them: frames are appended to it while they fit.
  private var open = Segment(start: 0)
  /// How many cursors stand behind the last byte. They belong to the segment that the next byte is appended to.
  private var cursorsAtEnd = 0

  /// The position of the first byte that is kept.
  var start: Int { head < full.count ? full[head].start : open.start }
  /// The position behind the last byte.
  var end: Int { open.end }
  /// The bytes that are kept.
  var count: Int { end - start }

  mutating func append(_ message: Message) {
    message.forEachFrame { frame in
      makeRoom(for: frame.encodedCount)
      frame.encode(into: &open.bytes)
    }
    trim()
  }

  /// Appends frames as they are.
  mutating func append(_ frames: Slice) {
    makeRoom(for: frames.count)
    open.bytes.append(contentsOf: frames.bytes[frames.range])
    trim()
  }

  /// Makes the open segment the one that the next `count` bytes, at least one, go to.
  private mutating func makeRoom(for count: Int) {
    let used = open.bytes.count
    if used > 0 && used + count > Segment.limit {
      full.append(open)
      open = Segment(start: open.end)
    }
    open.cursors += cursorsAtEnd
    cursorsAtEnd = 0
  }

  /// The bytes from `position` to the end of its segment or to `limit`, whichever comes first; nil if there are none.
  func read(at position: Int, upTo limit: Int) -> Slice? {
    guard position < min(limit, end) else { return nil }
    let segment = index(of: position).map { full[$0] } ?? open
    return Slice(bytes: segment.bytes, range: position - segment.start..<min(limit, segment.end) - segment.start)
  }

  /// Counts a cursor in: nothing from `position` on is forgotten until it moves or leaves.
  mutating func enter(at position: Int) { count(1, at: position) }

  /// Counts a cursor at `position` out, and forgets what nobody needs any more.
  mutating func leave(at position: Int) {
    count(-1, at: position)
    trim()
  }

  mutating func move(from position: Int, to destination: Int) {
    enter(at: destination)
    leave(at: position)
  }

  private mutating func count(_ cursors: Int, at position: Int) {
    if position == end {
      cursorsAtEnd += cursors
    } else if let index = index(of: position) {
      full[index].cursors += cursors
    } else {
      open.cursors += cursors
    }
  }

  /// Gives back the memory that is kept for what comes next, if no cursor is there to read it.
  mutating func release() {
    guard full.isEmpty && open.cursors == 0 && cursorsAtEnd == 0 else { return }
    (full, open) = ([], Segment(start: open.end))
    head = 0
  }

  /// Forgets the segments before the first cursor. The open one keeps its memory for what comes next.
  private mutating func trim() {
    if !full.isEmpty { trimFull() }
    guard full.isEmpty && open.cursors == 0 else { return }
    open.start = open.end
    open.bytes.removeAll(keepingCapacity: open.bytes.capacity <= Segment.reusedCapacity)
  }

  /// A function of its own, so that ``trim()`` takes no time where there is nothing to forget.
  @inline(never)
  private mutating func trimFull() {
    while head < full.count && full[head].cursors == 0 {
      full[head].bytes = []
      head += 1
    }
    if head == full.count || head > 32 && head * 2 > full.count {
      full.removeFirst(head)
      head = 0
    }
  }

  /// Which of the full segments `position` is in; nil if it is in the open one.
  private func index(of position: Int) -> Int? {
    precondition(position >= start && position < end, "position \(position) is not in \(start)..<\(end)")
    if open.start <= position { return nil }
    var low = head
    var high = full.count - 1
    while low < high {
      let middle = (low + high) / 2
      if full[middle].end <= position { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
