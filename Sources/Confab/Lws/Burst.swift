/// Tells which connections have more to read, because a read of theirs filled the receive buffer. They are read again
/// before the turn ends, so that one write takes the whole burst, however small the buffer is.
struct Burst<Reader: AnyObject> {
  /// So many bytes of payload are read in one turn before it is written, …
  private static var maxBytes: Int { Segment.limit }
  /// … in so many rounds, at the most.
  private static var maxRounds: Int { 64 }

  /// What one read of lws takes at the most.
  private let capacity: Int
  private var reader: Reader?
  private var readBytes = 0
  private var bytes = 0
  private var rounds = 0
  private var unfinished: ContiguousArray<Reader> = []

  /// - Parameter receiveBufferSize: lws reads some bytes more than that, LWS_PRE.
  init(receiveBufferSize: Int) { capacity = receiveBufferSize + 16 }

  /// `reader`, a connection, has received `count` bytes of payload, in one frame or a piece of one.
  mutating func note(_ count: Int, _ reader: Reader) {
    if reader !== self.reader {
      self.reader = reader
      readBytes = 0
    }
    let frame = count + (count < 126 ? 6 : 8)
    bytes += count
    // What is not told: the beginning of a frame that did not fit. Another one like the last would not have.
    let wasFull = readBytes + frame > capacity
    readBytes += frame
    if !wasFull && readBytes + frame > capacity { unfinished.append(reader) }
  }

  /// The connections to be read again now; none when the turn has ended.
  mutating func next() -> ContiguousArray<Reader> {
    reader = nil
    rounds += 1
    if bytes < Burst.maxBytes && rounds <= Burst.maxRounds && !unfinished.isEmpty {
      defer { unfinished = [] }
      return unfinished
    }
    unfinished.removeAll(keepingCapacity: true)
    bytes = 0
    rounds = 0
    return []
  }
}
