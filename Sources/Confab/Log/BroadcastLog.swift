import Synchronization

/// The messages of a room, in the one order that all readers see.
///
/// A message is encoded once, when it is appended. A connection that has joined the log, see ``Connection/join(_:)``,
/// is a cursor in it, and gets all messages from then on. Bytes are kept until the slowest cursor has passed them. A
/// connection whose cursor falls further behind than ``Configuration/maxBacklog`` is closed, so the log does not grow
/// without bound.
public final class BroadcastLog: Sendable {
  struct State {
    var queue = SegmentQueue()
    /// The number of messages appended so far.
    var count = 0
    var readers: [Reader] = []
    /// Whether all readers have been notified of growth since one last called ``BroadcastLog/takeExtent()``.
    var isGrowthKnown = false
    /// Whether another component orders the messages, see ``BroadcastLog/keepOrder()``.
    var isOrderKept = false
    /// Bytes of the queue that ``Backlogs/bytes`` includes.
    var counted = 0
    /// Maximum lag of the slowest reader in bytes, see `note`.
    var limit = Int.max
    /// The position of the slowest reader.
    var slowest = 0
    /// Logs of the same messages in compressed form, one for each form that has had readers.
    var forms: [(compression: Compression, log: BroadcastLog)] = []
  }
  struct Reader {
    let reader: any LogReader
    /// The position that the reader reported last.
    var position: Int
  }
  let state = Mutex(State())
  private let pressed = Atomic(false)
  /// The number of pressed logs among this one and its forms.
  private let pressure: Pressure
  private final class Pressure: Sendable { let count = Atomic(0) }
  private let hasForms = Atomic(false)

  /// An empty log without readers.
  public init() { pressure = Pressure() }

  deinit { Backlogs.add(-state.withLock { $0.counted }) }

  /// A form of another log.
  private init(_ pressure: Pressure) { self.pressure = pressure }

  /// Appends a message for all connections that have joined the log. Each event loop writes it when its current turn
  /// ends.
  ///
  /// Any thread. Messages appended by one thread keep their order.
  public func append(_ message: Message) { append(message, forms(of: message)) }

  /// The compressed forms of a message for the current readers.
  package struct Forms { fileprivate let deflated: [Compression: [UInt8]] }

  /// Compresses a message into the forms that have readers; nil if there are none. This takes long: a caller with a
  /// lock of its own should do it before taking the lock.
  package func forms(of message: Message) -> Forms? {
    guard hasForms.load(ordering: .relaxed) else { return nil }
    var deflated: [Compression: [UInt8]] = [:]
    for compression in Compression.allCases where hasReaders(of: compression) {
      deflated[compression] = message.deflated(compression)
    }
    return Forms(deflated: deflated)
  }

  /// Appends a message whose forms have been made. A form that has been added since gets it uncompressed.
  package func append(_ message: Message, _ forms: Forms?) {
    state.withLock { append(message, forms, &$0) }
  }

  /// Leaves the order of messages to another component: from now on ``appendUnlessOrdered(_:_:)`` appends nothing.
  package func keepOrder() { state.withLock { $0.isOrderKept = true } }

  /// Appends a message, unless another component orders the messages. Returns whether it was appended. All threads see
  /// this call and ``keepOrder()`` in the same order.
  package func appendUnlessOrdered(_ message: Message, _ forms: Forms?) -> Bool {
    state.withLock { state in
      if state.isOrderKept { return false }
      append(message, forms, &state)
      return true
    }
  }

  private func append(_ message: Message, _ forms: Forms?, to logs: [(compression: Compression, log: BroadcastLog)]) {
    for (compression, log) in logs {
      if let deflated = forms?.deflated[compression] {
        log.append(Message(message.kind, compressed: deflated.span))
      } else {
        log.append(message)
      }
    }
  }

  private func hasReaders(of compression: Compression) -> Bool {
    state.withLock { $0.form(compression) }?.state.withLock { !$0.readers.isEmpty } ?? false
  }

  /// Appends a message, as ``append(_:)-(Message)`` does.
  public func append(_ message: OwnedMessage) { append(message.message) }

  /// Appends text, as ``append(_:)-(Message)`` does.
  public func append(_ text: String) { append(OwnedMessage(text)) }

  /// Returns the log of the same messages in the form for `compression`; the log itself for nil.
  func form(_ compression: Compression?) -> BroadcastLog {
    guard let compression else { return self }
    return state.withLock { state in
      if let form = state.form(compression) { return form }
      let form = BroadcastLog(pressure)
      state.forms.append((compression, form))
      hasForms.store(true, ordering: .relaxed)
      return form
    }
  }

  /// The position after the last byte: the number of bytes, including frame headers, appended so far. Any thread.
  public var end: Int { state.withLock { $0.queue.end } }

  /// Returns the end and the number of messages appended so far. The log notifies its readers of the next message
  /// again.
  func takeExtent() -> (end: Int, count: Int) {
    state.withLock { state in
      state.isGrowthKnown = false
      return (state.queue.end, state.count)
    }
  }

  /// Bytes that are kept for readers that have not read them. Any thread.
  public var retained: Int { state.withLock { $0.queue.count } }

  /// The position of the first byte that is kept.
  var start: Int { state.withLock { $0.queue.start } }

  /// Adds a reader. Returns its cursor, which is at the end of the log, and the number of messages appended so far.
  func add(_ reader: any LogReader) -> (cursor: Cursor, count: Int) {
    state.withLock { state in
      state.readers.append(Reader(reader: reader, position: state.queue.end))
      state.isGrowthKnown = false
      measure(&state)
      return (state.makeCursor(), state.count)
    }
  }

  func remove(_ reader: any LogReader) {
    state.withLock { state in
      state.readers.removeAll { $0.reader === reader }
      measure(&state)
      state.releaseUnread()
    }
  }

  // MARK: Pressure

  /// Whether a reader of the log or of its forms cannot keep up, so that publishers should pause. This happens with
  /// several event loops, when one has more to write than another appends.
  var isPressed: Bool { pressure.count.load(ordering: .relaxed) > 0 }

  /// Returns whether the state has changed.
  @discardableResult
  private func setPressed(_ isPressed: Bool) -> Bool {
    guard pressed.exchange(isPressed, ordering: .relaxed) != isPressed else { return false }
    pressure.count.add(isPressed ? 1 : -1, ordering: .relaxed)
    return true
  }

  /// Reports that `reader` has read up to `position`. The log becomes pressed when a reader is more than `limit` behind
  /// the end, and is relieved when all readers are at most half of that behind.
  func note(_ reader: any LogReader, at position: Int, limit: Int) {
    state.withLock { state in
      state.limit = limit
      for index in state.readers.indices where state.readers[index].reader === reader {
        state.readers[index].position = position
      }
      measure(&state)
      state.countBytes()
    }
  }

  private func measure(_ state: inout State) {
    state.slowest = state.readers.map(\.position).min() ?? state.queue.end
    let lag = state.queue.end - state.slowest
    if lag > state.limit {
      setPressed(true)
    } else if lag <= state.limit / 2, setPressed(false) {
      for entry in state.readers { entry.reader.logRelieved() }
    }
  }

  private func append(_ message: Message, _ forms: Forms?, _ state: inout State) {
    append(message, &state)
    if !state.forms.isEmpty { append(message, forms, to: state.forms) }
  }

  /// Appends with the lock held. Sets the pressure at once, without waiting for the readers' next reports.
  private func append(_ message: Message, _ state: inout State) {
    state.queue.append(message)
    state.count += 1
    if state.readers.isEmpty { return state.queue.release() }
    if state.queue.end - state.slowest > state.limit { setPressed(true) }
    if state.isGrowthKnown { return }
    state.isGrowthKnown = true
    for entry in state.readers { entry.reader.logGrew() }
  }
}

extension BroadcastLog.State {
  /// Frees the memory of a log without readers.
  mutating func releaseUnread() {
    if readers.isEmpty { queue.release() }
  }

  /// Updates ``Backlogs/bytes``.
  mutating func countBytes() {
    guard queue.count != counted else { return }
    Backlogs.add(queue.count - counted)
    counted = queue.count
  }

  fileprivate func form(_ compression: Compression) -> BroadcastLog? {
    forms.first { $0.compression == compression }?.log
  }
}
