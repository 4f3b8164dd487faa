/// Decides how long to read before the received messages are written, so that one write takes a whole burst.
///
/// After a turn that has received something, the sockets are polled once more, so that messages which arrive meanwhile
/// are written together. lws on libuv does this poll in any case (lib/event-libs/libuv/libuv.c, lws_uv_idle).
struct Burst {
  /// Payload bytes after which a burst is written.
  private static let maxBytes = Segment.limit
  /// Maximum number of turns that are read before a burst is written.
  private static let maxTurns = 4

  private var bytes = 0
  private var bytesBefore = 0
  private var turns = 0

  /// Counts `count` bytes of received payload.
  mutating func note(_ count: Int) { bytes += count }

  /// Returns whether to poll once more before writing. The next burst begins when it returns false.
  mutating func goesOn() -> Bool {
    if bytes > bytesBefore && bytes < Burst.maxBytes && turns < Burst.maxTurns {
      bytesBefore = bytes
      turns += 1
      return true
    }
    self = Burst()
    return false
  }
}
