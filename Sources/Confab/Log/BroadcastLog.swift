internal import Synchronization

/// The messages of a room, in the one order that all readers see.
///
/// A message is encoded once, when it is appended. A connection that has joined the log, see ``Connection/join(_:)``,
/// is a cursor in it, and gets all messages from then on. Bytes are kept until the slowest cursor has passed them. A
/// connection whose cursor falls further behind than ``Configuration/maxBacklog`` is closed, so the log does not grow
/// without bound.
public final class BroadcastLog: Sendable {
  private struct State {
    /// Whether another component orders the messages, see ``BroadcastLog/keepOrder()``.
    var isOrderKept = false
    var uncompressed = FrameLog()
    /// The messages in compressed form, for each compression that has had readers.
    var compressed: [(compression: Compression, frames: FrameLog)] = []
  }
  private let state = Mutex(State())
  /// The number of forms that are pressed.
  private let pressedForms = Atomic(0)
  private let hasCompressedForms = Atomic(false)

  /// Creates an empty log without readers.
  public init() {}

  deinit {
    state.withLock { state in
      state.uncompressed.discard()
      for form in state.compressed { form.frames.discard() }
    }
  }

  // MARK: Appending

  /// Appends a message for all connections that have joined the log. Each event loop writes it when its current turn
  /// ends.
  ///
  /// Any thread. Messages appended by one thread keep their order.
  public func append(_ message: Message) { append(message, compressed: compressedForms(of: message)) }

  /// Appends a message, as ``append(_:)-(Message)`` does.
  public func append(_ message: OwnedMessage) { append(message.message) }

  /// Appends text, as ``append(_:)-(Message)`` does.
  public func append(_ text: String) { append(OwnedMessage(text)) }

  /// Appends a message whose compressed forms have been made. A form that has been added since gets the uncompressed
  /// message.
  package func append(_ message: Message, compressed forms: CompressedForms?) {
    state.withLock { append(message, forms, to: &$0) }
  }

  /// Leaves the order of messages to another component: from now on ``appendUnlessOrdered(_:compressed:)`` appends
  /// nothing.
  package func keepOrder() { state.withLock { $0.isOrderKept = true } }

  /// Appends a message, unless another component orders the messages. Returns whether it was appended. All threads see
  /// this call and ``keepOrder()`` in the same order.
  package func appendUnlessOrdered(_ message: Message, compressed forms: CompressedForms?) -> Bool {
    state.withLock { state in
      if state.isOrderKept { return false }
      append(message, forms, to: &state)
      return true
    }
  }

  private func append(_ message: Message, _ forms: CompressedForms?, to state: inout State) {
    notePressure(of: &state.uncompressed) { $0.append(message) }
    for index in state.compressed.indices {
      let compression = state.compressed[index].compression
      notePressure(of: &state.compressed[index].frames) { frames in
        if let deflated = forms?.payloads[compression] {
          frames.append(Message(message.kind, compressed: deflated.span))
        } else {
          frames.append(message)
        }
      }
    }
  }

  /// The payloads of a message in the compressed forms of a log.
  package struct CompressedForms { fileprivate let payloads: [Compression: [UInt8]] }

  /// Compresses a message into the forms that have readers; nil if there are none. Compression is slow, so callers
  /// should compress before they take a lock.
  package func compressedForms(of message: Message) -> CompressedForms? {
    guard hasCompressedForms.load(ordering: .relaxed) else { return nil }
    var payloads: [Compression: [UInt8]] = [:]
    for compression in state.withLock({ $0.compressed.filter(\.frames.hasReaders).map(\.compression) }) {
      payloads[compression] = message.deflated(compression)
    }
    return CompressedForms(payloads: payloads)
  }

  // MARK: Reading

  /// Returns the messages in the form for `compression`; uncompressed for nil.
  func form(_ compression: Compression?) -> LogForm {
    if let compression {
      state.withLock { state in
        if state.compressed.contains(where: { $0.compression == compression }) { return }
        state.compressed.append((compression, FrameLog()))
        hasCompressedForms.store(true, ordering: .relaxed)
      }
    }
    return LogForm(log: self, compression: compression)
  }

  /// Calls `body` with the frames of a form.
  func withFrames<Result: Sendable>(_ compression: Compression?, _ body: (inout FrameLog) -> Result) -> Result {
    state.withLock { state in
      guard let compression, let index = state.compressed.firstIndex(where: { $0.compression == compression }) else {
        return notePressure(of: &state.uncompressed, body)
      }
      return notePressure(of: &state.compressed[index].frames, body)
    }
  }

  /// The position after the last byte: the number of bytes, including frame headers, appended so far. Any thread.
  public var end: Int { state.withLock { $0.uncompressed.end } }

  /// Bytes that are kept for readers that have not read them. Any thread.
  public var retained: Int { state.withLock { $0.uncompressed.retained } }

  // MARK: Pressure

  /// Whether a reader of any form cannot keep up, so that publishers should pause. This happens with several event
  /// loops, if one loop writes more slowly than another appends.
  var isPressed: Bool { pressedForms.load(ordering: .relaxed) > 0 }

  /// Calls `body`, and updates ``isPressed``.
  private func notePressure<Result>(of frames: inout FrameLog, _ body: (inout FrameLog) -> Result) -> Result {
    let wasPressed = frames.isPressed
    let result = body(&frames)
    if frames.isPressed != wasPressed {
      pressedForms.add(wasPressed ? -1 : 1, ordering: .relaxed)
      if wasPressed { frames.notifyRelieved() }
    }
    return result
  }
}
