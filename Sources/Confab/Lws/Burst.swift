/// Tells when a turn should not be written yet, because one of its reads filled the receive buffer: more of the same
/// burst is waiting in the socket, and one write can take it all.
struct Burst {
  /// So many turns are joined, …
  private static let maxTurns = 8
  /// … and so many bytes, at the most.
  private static let maxBytes = 48 * 1024

  private let receiveBufferSize: Int
  private var reader: UInt64 = 0
  private var readBytes = 0
  private var sawFullRead = false
  private var turns = 0
  private var bytes = 0

  init(receiveBufferSize: Int) { self.receiveBufferSize = receiveBufferSize }

  /// A connection has received `count` bytes of payload, in one frame or a piece of one.
  mutating func note(_ count: Int, _ connection: UInt64) {
    if connection != reader {
      reader = connection
      readBytes = 0
    }
    // The frame had a header of 6 bytes at least: 2, and the mask.
    readBytes += count + 6
    bytes += count
    if readBytes >= receiveBufferSize { sawFullRead = true }
  }

  /// Whether another turn should come first. The turn has ended.
  mutating func isUnfinished() -> Bool {
    let more = sawFullRead && turns < Burst.maxTurns && bytes < Burst.maxBytes
    reader = 0
    readBytes = 0
    sawFullRead = false
    turns = more ? turns + 1 : 0
    if !more { bytes = 0 }
    return more
  }
}
