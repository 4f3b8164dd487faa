import Synchronization

/// What is said in a room, in the one order that everyone sees.
///
/// A message is encoded once, when it is appended. A connection that has joined the log, see ``Connection/join(_:)``, is
/// a cursor in it and gets what is appended from then on. Bytes are kept until the slowest cursor has passed them; a
/// cursor that falls further behind than ``Configuration/maxBacklog`` is closed, so a log does not grow without a bound.
public final class BroadcastLog: Sendable {
  struct State {
    var queue = SegmentQueue()
    /// How many messages have been appended.
    var count = 0
    var readers: [Reader] = []
    /// Whether all readers know that it has grown since one has last asked for its extent.
    var isGrowthKnown = false
    /// Whether messages get their order from somebody else, see ``BroadcastLog/keepOrder()``.
    var isOrderKept = false
    /// How many of the queue's bytes have been counted in ``Backlogs/bytes``.
    var counted = 0
    /// How far the slowest reader may be behind the end, and where it is: see `note`.
    var limit = Int.max
    var slowest = 0
    /// The same messages, compressed, for those who have agreed to that: a log for each form that somebody has read.
    var forms: [(compression: Compression, log: BroadcastLog)] = []
  }
  struct Reader {
    let reader: any LogReader
    /// Up to where it has read, when it last told.
    var position: Int
  }
  let state = Mutex(State())
  private let pressed = Atomic(false)
  /// How many of the log's forms, itself among them, are pressed.
  private let pressure: Pressure
  private final class Pressure: Sendable { let count = Atomic(0) }
  private let hasForms = Atomic(false)

  /// An empty log that nobody reads.
  public init() { pressure = Pressure() }

  deinit { Backlogs.add(-state.withLock { $0.counted }) }

  /// A form of another log.
  private init(_ pressure: Pressure) { self.pressure = pressure }

  /// Appends a message for everyone who has joined. It is written when the running turn of each event loop ends.
  ///
  /// Any thread. Messages that are appended by one thread keep their order.
  public func append(_ message: Message) { append(message, forms(of: message)) }

  /// The compressed forms of a message, for those who read them now.
  package struct Forms { fileprivate let deflated: [Compression: [UInt8]] }

  /// Makes the forms of a message; nil if there are none. That takes long: who appends with a lock of its own held does it
  /// beforehand.
  package func forms(of message: Message) -> Forms? {
    guard hasForms.load(ordering: .relaxed) else { return nil }
    var deflated: [Compression: [UInt8]] = [:]
    for compression in Compression.allCases where hasReaders(of: compression) {
      deflated[compression] = message.deflated(compression)
    }
    return Forms(deflated: deflated)
  }

  /// Appends a message whose forms have been made. It goes to forms that have come since as it is.
  package func append(_ message: Message, _ forms: Forms?) {
    state.withLock { append(message, forms, &$0) }
  }

  /// Somebody else gives messages their order from now on: those whose order nobody keeps are not appended any more.
  package func keepOrder() { state.withLock { $0.isOrderKept = true } }

  /// Appends a message where it comes, and tells whether it has: not if somebody keeps the order. This and ``keepOrder()``
  /// have one order on all threads.
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

  /// The log of the same messages in the form for `compression`; nil is the log itself.
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

  /// The position behind the last byte: how many bytes, frame headers included, have ever been appended. Any thread.
  public var end: Int { state.withLock { $0.queue.end } }

  /// The same, and how many messages they were, for a reader that wants to hear of the next one again.
  func takeExtent() -> (end: Int, count: Int) {
    state.withLock { state in
      state.isGrowthKnown = false
      return (state.queue.end, state.count)
    }
  }

  /// The bytes that are kept because some reader has not read them. Any thread.
  public var retained: Int { state.withLock { $0.queue.count } }

  /// The position of the first byte that is kept.
  var start: Int { state.withLock { $0.queue.start } }

  /// Adds a reader, and returns its cursor, at the end of the log, and how many messages have been appended before.
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

  /// Whether some reader, of any form, can't keep up with those who append: they should wait. That happens among several
  /// event loops, when one has more to write than another brings.
  var isPressed: Bool { pressure.count.load(ordering: .relaxed) > 0 }

  /// Tells whether that is new.
  @discardableResult
  private func setPressed(_ isPressed: Bool) -> Bool {
    guard pressed.exchange(isPressed, ordering: .relaxed) != isPressed else { return false }
    pressure.count.add(isPressed ? 1 : -1, ordering: .relaxed)
    return true
  }

  /// Tells that `reader` has read up to `position`. The log is pressed when a reader is more than `limit` behind the end,
  /// until none is more than half of that.
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

  /// Appends with the lock held. Who appends much to what others read slowly need not wait until they tell.
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
  /// A log that has no readers keeps no memory for what comes next.
  mutating func releaseUnread() {
    if readers.isEmpty { queue.release() }
  }

  /// Brings ``Backlogs/bytes`` up to date.
  mutating func countBytes() {
    guard queue.count != counted else { return }
    Backlogs.add(queue.count - counted)
    counted = queue.count
  }

  fileprivate func form(_ compression: Compression) -> BroadcastLog? {
    forms.first { $0.compression == compression }?.log
  }
}
