/// Decides how long to read before what has come is written, so that one write takes a whole burst.
///
/// After a turn that brought something, the sockets are polled once more: what others have sent meanwhile comes with it.
/// lws on libuv does that poll in any case (lib/event-libs/libuv/libuv.c, lws_uv_idle).
struct Burst {
  /// So many bytes of payload …
  private static let maxBytes = Segment.limit
  /// … in so many turns are read before they are written, at the most.
  private static let maxTurns = 4

  private var bytes = 0
  private var bytesBefore = 0
  private var turns = 0

  /// `count` bytes of payload have been received.
  mutating func note(_ count: Int) { bytes += count }

  /// Whether to poll once more before writing. Nothing is left of the burst when the answer is no.
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
