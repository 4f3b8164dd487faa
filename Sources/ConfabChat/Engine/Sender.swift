internal import Confab
internal import Synchronization

/// A connection as one who says something: its messages that wait for their place are bounded.
///
/// When more than 64 KiB of them wait, with 256 bytes for each beside its own, or any while all of the chat's are more
/// than ``ChatOptions/maxWaitingBytes``, the connection is not read any more until half of it, or none, waits: TCP slows
/// the client down, and nothing is lost. Other connections may have messages read by then: these add 16 MiB at the most,
/// and further ones are refused. Any thread.
public final class Sender: Sendable {
  private static let maxBytes = 64 << 10
  private static let overhead = 256

  /// Unique in the process.
  public let id: UInt64
  private let connection: Connection
  private let waitingBytes: WaitingBytes
  private let state = Mutex((bytes: 0, isPaused: false))

  init(_ connection: Connection, _ waitingBytes: WaitingBytes) {
    (id, self.connection, self.waitingBytes) = (connection.id, connection, waitingBytes)
  }

  /// Whether so much waits already that a message of another connection is refused.
  var isRefused: Bool { waitingBytes.isFull && state.withLock { $0.bytes == 0 } }

  /// A message of so many bytes waits. On the connection's loop.
  func began(_ count: Int) {
    let total = waitingBytes.add(count + Sender.overhead)
    let isPaused = state.withLock { state in
      state.bytes += count + Sender.overhead
      if state.isPaused { return false }
      state.isPaused = state.bytes > Sender.maxBytes || total > waitingBytes.limit
      return state.isPaused
    }
    if isPaused { connection.pauseReading() }
  }

  /// Tells that a message, of so many bytes, has got its place.
  public func settled(_ count: Int) {
    let total = waitingBytes.add(-count - Sender.overhead)
    let isRelieved = state.withLock { state in
      state.bytes -= count + Sender.overhead
      guard state.isPaused, state.bytes <= Sender.maxBytes / 2 else { return false }
      state.isPaused = state.bytes > 0 && total > waitingBytes.limit
      return !state.isPaused
    }
    guard isRelieved else { return }
    connection.loop.execute { [self] in
      // Meanwhile there may be more again.
      if !state.withLock({ $0.isPaused }) { connection.resumeReading() }
    }
  }
}

/// The bytes of all messages of a chat that wait for their place.
final class WaitingBytes: Sendable {
  /// What messages that have been read when the limit is reached may add.
  private static let slack = 16 << 20

  let limit: Int
  private let count = Atomic(0)

  init(limit: Int) { self.limit = limit }

  var isFull: Bool { count.load(ordering: .relaxed) > limit + WaitingBytes.slack }

  /// Returns how many there are then.
  func add(_ count: Int) -> Int { self.count.add(count, ordering: .relaxed).newValue }
}
