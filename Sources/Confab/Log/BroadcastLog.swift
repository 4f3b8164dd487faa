import Synchronization

/// What is said in a room, in the one order that everyone sees.
///
/// A message is encoded once, when it is appended. A connection that has joined the log, see ``Connection/join(_:)``, is
/// a cursor in it and gets what is appended from then on. Bytes are kept until the slowest cursor has passed them; a
/// cursor that falls further behind than ``Configuration/maxBacklog`` is closed, so a log does not grow without a bound.
public final class BroadcastLog: Sendable {
  struct State {
    var queue = SegmentQueue()
    var readers: [Reader] = []
  }
  struct Reader {
    let reader: any LogReader
    /// Up to where it has read, when it last told.
    var position: Int
  }
  let state = Mutex(State())
  private let pressed = Atomic(false)

  public init() {}

  /// Appends a message for everyone who has joined. It is written when the running turn of each event loop ends.
  ///
  /// Any thread. Messages that are appended by one thread keep their order.
  public func append(_ message: Message) {
    state.withLock { state in
      state.queue.append(message)
      for entry in state.readers { entry.reader.logGrew() }
    }
  }

  /// The position behind the last byte: how many bytes, frame headers included, have ever been appended. Any thread.
  public var end: Int { state.withLock { $0.queue.end } }

  /// The bytes that are kept because some reader has not read them. Any thread.
  public var retained: Int { state.withLock { $0.queue.count } }

  /// The position of the first byte that is kept.
  var start: Int { state.withLock { $0.queue.start } }

  func add(_ reader: any LogReader) {
    state.withLock { $0.readers.append(Reader(reader: reader, position: $0.queue.end)) }
  }

  func remove(_ reader: any LogReader) {
    state.withLock { state in
      state.readers.removeAll { $0.reader === reader }
      if state.readers.isEmpty { pressed.store(false, ordering: .relaxed) }
    }
  }

  // MARK: Pressure

  /// Whether some reader can't keep up with those who append: they should wait. That happens among several event loops,
  /// when one has more to write than another brings; a loop alone reads no more than it has written.
  var isPressed: Bool { pressed.load(ordering: .relaxed) }

  /// Tells that `reader` has read up to `position`. The log is pressed when a reader is more than `limit` behind the end,
  /// until none is more than half of that.
  func note(_ reader: any LogReader, at position: Int, limit: Int) {
    state.withLock { state in
      guard state.readers.count > 1 else { return }
      for index in state.readers.indices where state.readers[index].reader === reader {
        state.readers[index].position = position
      }
      let lag = state.queue.end - (state.readers.map(\.position).min() ?? state.queue.end)
      if lag > limit {
        pressed.store(true, ordering: .relaxed)
      } else if lag <= limit / 2, pressed.exchange(false, ordering: .relaxed) {
        for entry in state.readers { entry.reader.logRelieved() }
      }
    }
  }
}
