import Synchronization

/// What is said in a room, in the one order that everyone sees.
///
/// A message is encoded once, when it is appended. A connection that has joined the log, see ``Connection/join(_:)``, is
/// a cursor in it and gets what is appended from then on. Bytes are kept until the slowest cursor has passed them; a
/// cursor that falls further behind than ``Configuration/maxBacklog`` is closed, so a log does not grow without a bound.
public final class BroadcastLog: Sendable {
  struct State {
    var queue = SegmentQueue()
    var readers: [any LogReader] = []
  }
  let state = Mutex(State())

  public init() {}

  /// Appends a message for everyone who has joined. It is written when the running turn of each event loop ends.
  ///
  /// Any thread. Messages that are appended by one thread keep their order.
  public func append(_ message: Message) {
    state.withLock { state in
      state.queue.append(message)
      for reader in state.readers { reader.logGrew() }
    }
  }

  /// The position behind the last byte: how many bytes, frame headers included, have ever been appended. Any thread.
  public var end: Int { state.withLock { $0.queue.end } }

  /// The bytes that are kept because some reader has not read them. Any thread.
  public var retained: Int { state.withLock { $0.queue.count } }

  /// The position of the first byte that is kept.
  var start: Int { state.withLock { $0.queue.start } }

  func add(_ reader: any LogReader) {
    state.withLock { $0.readers.append(reader) }
  }

  func remove(_ reader: any LogReader) {
    state.withLock { $0.readers.removeAll { $0 === reader } }
  }
}
