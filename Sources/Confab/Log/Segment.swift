/// A part of a log: whole frames for one write.
struct Segment {
  /// Maximum size of a segment, and of a write, in bytes: four frames of maximum size. Larger segments would hardly
  /// save writes, and libwebsockets copies the part that a full socket does not take.
  static let limit = 4 * (Frame.maxPayload + Frame.maxHeader)

  /// Maximum capacity in bytes that an emptied open segment keeps for later messages.
  static let reusedCapacity = 16 * 1024

  /// The position of its first byte in the log.
  var start: Int
  var bytes: [UInt8] = []
  /// The number of cursors in this segment. The segment is kept while it, or one before it, has a cursor.
  var cursors = 0

  var end: Int { start + bytes.count }
}

/// Bytes of a log to be written: the range `range` of `bytes`, which contains whole frames.
struct Slice {
  let bytes: [UInt8]
  let range: Range<Int>
  var count: Int { range.count }
  /// Whether it begins with a later fragment of a message (RFC 6455, section 5.4: opcode 0).
  var beginsInsideMessage: Bool { bytes[range.lowerBound] & 15 == 0 }
  var span: Span<UInt8> {
    @_lifetime(borrow self) borrowing get { bytes.span.extracting(range) }
  }
}

/// Consecutive segments. Messages are appended at the end, read by position, and freed when every cursor has passed
/// them.
///
/// A position is the number of bytes since the queue began, so it stays valid when earlier segments are freed. Cursors
/// always stand at the beginning of a frame.
struct SegmentQueue {
  /// Complete segments, in order and without gaps.
  private var full: [Segment] = []
  /// The index of the first segment that is kept; those before it have been freed.
  private var head = 0
  /// The segment after the full ones. Frames are appended to it while they fit.
  private var open = Segment(start: 0)
  /// The number of cursors after the last byte. They belong to the segment that the next byte goes to.
  private var cursorsAtEnd = 0

  /// The position of the first byte that is kept.
  var start: Int { head < full.count ? full[head].start : open.start }
  /// The position after the last byte.
  var end: Int { open.end }
  /// The number of bytes that are kept.
  var count: Int { end - start }

  mutating func append(_ message: Message) {
    message.forEachFrame { frame in
      makeRoom(for: frame.encodedCount)
      frame.encode(into: &open.bytes)
    }
    trim()
  }

  /// Appends encoded frames.
  mutating func append(_ frames: Slice) {
    makeRoom(for: frames.count)
    open.bytes.append(contentsOf: frames.bytes[frames.range])
    trim()
  }

  /// Opens a new segment if the open one has too little room for the next `count` bytes. `count` is at least 1.
  private mutating func makeRoom(for count: Int) {
    let used = open.bytes.count
    if used > 0 && used + count > Segment.limit {
      full.append(open)
      open = Segment(start: open.end)
    }
    open.cursors += cursorsAtEnd
    cursorsAtEnd = 0
  }

  /// Returns the bytes from `position` to the end of its segment or to `limit`, whichever comes first; nil if there are
  /// none.
  func read(at position: Int, upTo limit: Int) -> Slice? {
    guard position < min(limit, end) else { return nil }
    let segment = index(of: position).map { full[$0] } ?? open
    return Slice(bytes: segment.bytes, range: position - segment.start..<min(limit, segment.end) - segment.start)
  }

  /// Adds a cursor: bytes from `position` on are kept until it moves or leaves.
  mutating func enter(at position: Int) { count(1, at: position) }

  /// Removes the cursor at `position`, and frees segments that no cursor needs any more.
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

  /// Frees the memory of the segments, unless a cursor needs it.
  mutating func release() {
    guard full.isEmpty && open.cursors == 0 && cursorsAtEnd == 0 else { return }
    (full, open) = ([], Segment(start: open.end))
    head = 0
  }

  /// Frees the segments before the first cursor. The open one keeps its memory for later messages.
  private mutating func trim() {
    if !full.isEmpty { trimFull() }
    guard full.isEmpty && open.cursors == 0 else { return }
    open.start = open.end
    open.bytes.removeAll(keepingCapacity: open.bytes.capacity <= Segment.reusedCapacity)
  }

  /// A separate function, so that ``trim()`` costs nothing when there is nothing to free.
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

  /// Returns the index of the full segment with `position`; nil if it is in the open one.
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
