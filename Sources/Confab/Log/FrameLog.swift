/// The frames of one form of a log, uncompressed or compressed in one way, and the positions of its readers.
///
/// Bytes are kept until the slowest cursor has passed them. The readers are notified with the log's lock held.
struct FrameLog {
  private struct Reader {
    let reader: any LogReader
    /// The position that the reader reported last.
    var position: Int
  }
  private var queue = SegmentQueue()
  /// The number of messages appended so far.
  private var count = 0
  private var readers: [Reader] = []
  /// Whether all readers have been notified of growth since a reader last called ``takeExtent()``.
  private var isGrowthKnown = false
  /// Bytes of the queue that ``Backlogs/bytes`` includes.
  private var counted = 0
  /// Maximum lag of the slowest reader in bytes, see ``note(_:at:limit:)``.
  private var limit = Int.max
  /// The position of the slowest reader.
  private var slowest = 0
  /// Whether a reader is further behind than the limit.
  private(set) var isPressed = false

  /// The position of the first byte that is kept.
  var start: Int { queue.start }
  /// The position after the last byte.
  var end: Int { queue.end }
  /// The number of bytes that are kept.
  var retained: Int { queue.count }
  var hasReaders: Bool { !readers.isEmpty }

  /// Appends a message. Sets the pressure at once, without waiting for the readers' next reports.
  mutating func append(_ message: Message) {
    queue.append(message)
    count += 1
    if readers.isEmpty { return queue.release() }
    if queue.end - slowest > limit { isPressed = true }
    if isGrowthKnown { return }
    isGrowthKnown = true
    for entry in readers { entry.reader.logGrew() }
  }

  /// Returns the end and the number of messages appended so far. The readers are notified of the next message again.
  mutating func takeExtent() -> (end: Int, count: Int) {
    isGrowthKnown = false
    return (queue.end, count)
  }

  // MARK: Readers

  /// Adds a reader. Returns its cursor, which is at the end, and the number of messages appended so far.
  mutating func add(_ reader: any LogReader) -> (cursor: Cursor, count: Int) {
    readers.append(Reader(reader: reader, position: queue.end))
    isGrowthKnown = false
    measure()
    return (makeCursor(), count)
  }

  mutating func remove(_ reader: any LogReader) {
    readers.removeAll { $0.reader === reader }
    measure()
    releaseUnread()
  }

  /// Reports that `reader` has read up to `position`. The log becomes pressed when a reader is more than `limit` bytes
  /// behind the end. It is relieved when all readers are at most `limit` / 2 behind.
  mutating func note(_ reader: any LogReader, at position: Int, limit: Int) {
    self.limit = limit
    for index in readers.indices where readers[index].reader === reader { readers[index].position = position }
    measure()
    countBytes()
  }

  private mutating func measure() {
    slowest = readers.map(\.position).min() ?? queue.end
    let lag = queue.end - slowest
    if lag > limit {
      isPressed = true
    } else if lag <= limit / 2 {
      isPressed = false
    }
  }

  /// Notifies the readers that ``isPressed`` has become false.
  func notifyRelieved() {
    for entry in readers { entry.reader.logRelieved() }
  }

  // MARK: Cursors

  /// Returns a new cursor at the end, which reads the bytes that are appended from now on.
  mutating func makeCursor() -> Cursor {
    queue.enter(at: queue.end)
    return Cursor(position: queue.end)
  }

  /// Returns a second cursor at the position of `cursor`.
  mutating func copy(_ cursor: Cursor) -> Cursor {
    queue.enter(at: cursor.position)
    return cursor
  }

  /// Returns the next bytes for `cursor`, at most one segment and not beyond the position `limit`; nil if there are
  /// none.
  func read(_ cursor: Cursor, upTo limit: Int) -> Slice? { queue.read(at: cursor.position, upTo: limit) }

  /// Moves a cursor forward. Bytes before the first cursor are freed.
  mutating func advance(_ cursor: Cursor, to position: Int) { queue.move(from: cursor.position, to: position) }

  mutating func remove(_ cursor: Cursor) {
    queue.leave(at: cursor.position)
    releaseUnread()
    countBytes()
  }

  // MARK: Memory

  /// Frees the memory of a log without readers.
  private mutating func releaseUnread() {
    if readers.isEmpty { queue.release() }
  }

  /// Updates ``Backlogs/bytes``.
  private mutating func countBytes() {
    guard queue.count != counted else { return }
    Backlogs.add(queue.count - counted)
    counted = queue.count
  }

  /// Called when the log is freed.
  func discard() { Backlogs.add(-counted) }
}
