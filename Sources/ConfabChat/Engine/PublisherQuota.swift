internal import Confab
internal import Synchronization

/// Quota of one connection, or of one call of the program, for messages whose offset is pending.
///
/// Reading from the connection is paused while more than 64 KiB of its messages are pending, counting 256 bytes of
/// overhead for each, or while any of them is pending and the messages of the whole chat exceed
/// ``ChatOptions/maxPendingBytes``. A paused connection resumes when at most 32 KiB of its messages are pending and the
/// chat is within its limit, or when none is pending. TCP slows the client down meanwhile, and no message is lost.
/// Other connections may have read messages by then. These add at most 16 MiB; further ones are rejected. Any thread.
public final class PublisherQuota: Sendable {
  private static let maxBytes = 64 << 10
  private static let overhead = 256

  /// Identifier, unique in the process.
  public let id: UInt64
  /// Nil for a call of the program, which waits by itself.
  private let connection: Connection?
  private let total: PendingBytes
  private let state = Mutex((bytes: 0, isPaused: false))

  init(_ connection: Connection, _ total: PendingBytes) {
    (id, self.connection, self.total) = (connection.id, connection, total)
  }

  /// The quota of one call of the program.
  init(_ total: PendingBytes) {
    (id, connection, self.total) = (PublisherQuota.programIDs.wrappingAdd(1, ordering: .relaxed).newValue, nil, total)
  }

  /// Above those of all connections.
  private static let programIDs = Atomic<UInt64>(1 << 63)

  /// Whether so many bytes are pending that a message of a connection without pending messages is rejected.
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
  /// Allowance for messages already read when the limit is reached.
  private static let slack = 16 << 20

  let limit: Int
  private let count = Atomic(0)

  init(limit: Int) { self.limit = limit }

  var isFull: Bool { count.load(ordering: .relaxed) > limit + PendingBytes.slack }

  /// Returns the new total.
  func add(_ count: Int) -> Int { self.count.add(count, ordering: .relaxed).newValue }
}
