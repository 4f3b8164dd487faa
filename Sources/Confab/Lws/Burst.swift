/// Decides how long to read before what has come is written, so that one write takes a whole burst.
///
/// A connection has more to read when a read of its filled the receive buffer: it is read again at once, so a small
/// buffer costs no writes. And after a turn that brought something, the sockets are polled once more: what others have
/// sent meanwhile comes with it. lws on libuv does that poll in any case (lib/event-libs/libuv/libuv.c, lws_uv_idle).
struct Burst<Reader: AnyObject> {
  /// So many bytes of payload are read before they are written, …
  private static var maxBytes: Int { Segment.limit }
  /// … in so many reads of one connection …
  private static var maxRounds: Int { 64 }
  /// … and so many turns, at the most.
  private static var maxTurns: Int { 4 }

  /// What one read of lws takes at the most.
  private let capacity: Int
  private var reader: Reader?
  private var readBytes = 0
  private var bytes = 0
  private var rounds = 0
  private var turns = 0
  private var bytesBefore = 0
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

  /// The connections to be read again now.
  mutating func next() -> ContiguousArray<Reader> {
    reader = nil
    rounds += 1
    if bytes < Burst.maxBytes && rounds <= Burst.maxRounds && !unfinished.isEmpty {
      defer { unfinished = [] }
      return unfinished
    }
    unfinished.removeAll(keepingCapacity: true)
    rounds = 0
    return []
  }

  /// Whether to poll once more before writing. Nothing is left of the burst when the answer is no.
  mutating func goesOn() -> Bool {
    if bytes > bytesBefore && bytes < Burst.maxBytes && turns < Burst.maxTurns {
      bytesBefore = bytes
      turns += 1
      return true
    }
    (bytes, bytesBefore, turns) = (0, 0, 0)
    return false
  }
}
