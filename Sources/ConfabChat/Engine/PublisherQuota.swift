internal import Confab
internal import Synchronization

/// Quota of one connection, or of one call of the program, for messages whose offset is pending.
///
/// Reading from the connection is paused in two cases: more than 64 KiB of its messages are pending, or any of its
/// messages is pending while the pending messages of the whole chat exceed ``ChatOptions/maxPendingBytes``. Each
/// message counts with 256 bytes of overhead. Reading resumes when none of the connection's messages is pending, or
/// when at most 32 KiB are pending and the chat is within its limit. TCP slows the client down meanwhile, and no
/// message is lost.
///
/// Connections may already have read messages when the chat exceeds its limit. These messages may add at most 16 MiB;
/// further messages are rejected. Any thread.
public final class PublisherQuota: Sendable {
  private static let maxBytes = 64 << 10
  private static let overhead = 256

  /// Identifier, unique in the process.
  public let id: UInt64
  /// Nil for a call of the program, whose caller waits for the result.
  private let connection: Connection?
  private let total: PendingBytes
  private let state = Mutex((bytes: 0, isPaused: false))

  init(_ connection: Connection, _ total: PendingBytes) {
    (id, self.connection, self.total) = (connection.id, connection, total)
  }

  /// Creates the quota of one call of the program.
  init(_ total: PendingBytes) {
    (id, connection, self.total) = (PublisherQuota.programIDs.wrappingAdd(1, ordering: .relaxed).newValue, nil, total)
  }

  /// Last id of a call of the program. These ids are above the ids of connections.
  private static let programIDs = Atomic<UInt64>(1 << 63)

  /// Whether a new message must be rejected: the chat exceeds its limit by 16 MiB, and the connection has no pending
  /// messages.
  var isExhausted: Bool { total.isFull && state.withLock { $0.bytes == 0 } }

  /// Adds a pending message of `count` bytes. On the connection's loop.
  func charge(_ count: Int) {
    let total = total.add(count + PublisherQuota.overhead)
    let isPaused = state.withLock { state in
      state.bytes += count + PublisherQuota.overhead
      if state.isPaused { return false }
      state.isPaused = state.bytes > PublisherQuota.maxBytes || total > self.total.limit
      return state.isPaused
    }
    if isPaused { connection?.pauseReading() }
  }

  /// Removes a pending message of `count` bytes.
  public func release(_ count: Int) {
    let total = total.add(-count - PublisherQuota.overhead)
    let isRelieved = state.withLock { state in
      state.bytes -= count + PublisherQuota.overhead
      guard state.isPaused, state.bytes <= PublisherQuota.maxBytes / 2 else { return false }
      state.isPaused = state.bytes > 0 && total > self.total.limit
      return !state.isPaused
    }
    guard isRelieved, let connection else { return }
    connection.loop.execute { [self] in
      // More messages may have become pending meanwhile.
      if !state.withLock({ $0.isPaused }) { connection.resumeReading() }
    }
  }
}

/// Number of bytes of all pending messages of a chat.
final class PendingBytes: Sendable {
  /// Maximum excess over the limit by messages that were already read.
  private static let slack = 16 << 20

  let limit: Int
  private let count = Atomic(0)

  init(limit: Int) { self.limit = limit }

  var isFull: Bool { count.load(ordering: .relaxed) > limit + PendingBytes.slack }

  /// Returns the new total.
  func add(_ count: Int) -> Int { self.count.add(count, ordering: .relaxed).newValue }
}
