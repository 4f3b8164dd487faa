/// A stretch of a log: whole frames, as they go to the sockets, for one write.
struct Segment {
  /// The most bytes in one segment, and in one write: four frames of the greatest size fit. Larger ones would save few
  /// writes more, and what a full socket does not take of one, libwebsockets copies.
  static let limit = 4 * (Frame.maxPayload + Frame.maxHeader)

  /// The last segment keeps its memory for what comes next if it has no more than this, in bytes.
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
  /// Ordered and without gaps. The last one is open: frames are appended to it while they fit. Never empty.
  private var segments = [Segment(start: 0)]
  /// The index of the first segment in `segments`: those before it have been forgotten.
  private var head = 0
  /// How many cursors stand behind the last byte. They belong to the segment that the next byte is appended to.
  private var cursorsAtEnd = 0

  private var last: Int { segments.count - 1 }

  /// The position of the first byte that is kept.
  var start: Int { segments[head].start }
  /// The position behind the last byte.
  var end: Int { segments[last].end }
  /// The bytes that are kept.
  var count: Int { end - start }

  mutating func append(_ message: Message) {
    message.forEachFrame { frame in append(frame) }
    trim()
  }

  /// Appends frames as they are.
  mutating func append(_ frames: Slice) {
    makeRoom(for: frames.count)
    segments[last].bytes.append(contentsOf: frames.bytes[frames.range])
    trim()
  }

  private mutating func append(_ frame: Frame) {
    makeRoom(for: frame.encodedCount)
    frame.encode(into: &segments[last].bytes)
  }

  /// Makes the last segment the one that the next `count` bytes, at least one, go to.
  private mutating func makeRoom(for count: Int) {
    let used = segments[last].bytes.count
    if used > 0 && used + count > Segment.limit {
      segments.append(Segment(start: segments[last].end))
    }
    segments[last].cursors += cursorsAtEnd
    cursorsAtEnd = 0
  }

  /// The bytes from `position` to the end of its segment or to `limit`, whichever comes first; nil if there are none.
  func read(at position: Int, upTo limit: Int) -> Slice? {
    guard position < min(limit, end) else { return nil }
    let segment = segments[index(of: position)]
    return Slice(bytes: segment.bytes, range: position - segment.start..<min(limit, segment.end) - segment.start)
  }

  /// Counts a cursor in: nothing from `position` on is forgotten until it moves or leaves.
  mutating func enter(at position: Int) {
    if position == end { cursorsAtEnd += 1 } else { segments[index(of: position)].cursors += 1 }
  }

  /// Counts a cursor at `position` out, and forgets what nobody needs any more.
  mutating func leave(at position: Int) {
    if position == end { cursorsAtEnd -= 1 } else { segments[index(of: position)].cursors -= 1 }
    trim()
  }

  mutating func move(from position: Int, to destination: Int) {
    enter(at: destination)
    leave(at: position)
  }

  /// Forgets the segments before the first cursor. The last segment keeps its memory for what comes next.
  private mutating func trim() {
    while segments[head].cursors == 0 {
      guard head < last else {
        segments[head].start = segments[head].end
        segments[head].bytes.removeAll(keepingCapacity: segments[head].bytes.capacity <= Segment.reusedCapacity)
        return
      }
      segments[head].bytes = []
      head += 1
      if head > 32 && head * 2 > segments.count {
        segments.removeFirst(head)
        head = 0
      }
    }
  }

  private func index(of position: Int) -> Int {
    precondition(position >= start && position < end, "position \(position) is not in \(start)..<\(end)")
    var low = head
    var high = last
    if segments[high].start <= position { return high }
    while low < high {
      let middle = (low + high) / 2
      if segments[middle].end <= position { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
