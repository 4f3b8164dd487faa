internal import Synchronization

/// A connection's messages that its task has not taken yet, and its end. Any thread.
final class Inbox: Sendable {
  /// The limits for reading ahead. Reading stops after the message that reaches one of them.
  static let maxMessages = 32
  static let maxBytes = 64 << 10

  fileprivate struct State {
    /// The queue; the next message is at `first`.
    var messages: [OwnedMessage] = []
    var first = 0
    var bytes = 0
    /// Nil while more messages may arrive.
    var end: Result<Void, ConfabError>?
    var isFull = false
    var waiting: CheckedContinuation<OwnedMessage?, any Error>?
    /// The number of waits so far. It identifies the current wait: a task that already has its message may still be
    /// cancelled when the next task waits.
    var waits = 0
  }
  private let state = Mutex(State())

  /// Appends a message. Returns false when the connection should not be read until ``next(onRoom:)`` calls `onRoom`.
  func add(_ message: OwnedMessage) -> Bool {
    let (waiting, isFull) = state.withLock { state in
      if let waiting = state.waiting {
        state.waiting = nil
        return (waiting as CheckedContinuation?, false)
      }
      state.messages.append(message)
      state.bytes += message.bytes.count
      let count = state.messages.count - state.first
      state.isFull = count >= Inbox.maxMessages || state.bytes >= Inbox.maxBytes
      return (nil, state.isFull)
    }
    waiting?.resume(returning: message)
    return !isFull
  }

  /// Ends the sequence: no more messages arrive.
  func end(_ end: Result<Void, ConfabError>) {
    let waiting = state.withLock { state in
      state.end = state.end ?? end
      defer { state.waiting = nil }
      return state.waiting
    }
    waiting?.resume(with: end.map { nil }.mapError { $0 })
  }

  /// Returns the next message; nil at the end. Calls `onRoom` when the connection may be read again.
  func next(onRoom: () -> Void) async throws -> OwnedMessage? {
    // The fast path: usually a message is available.
    if let (message, hasRoom) = state.withLock({ $0.takeFirst() }) {
      if hasRoom { onRoom() }
      return message
    }
    let wait = state.withLock { state in
      state.waits += 1
      return state.waits
    }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let outcome = state.withLock { state -> Result<OwnedMessage?, any Error>? in
          precondition(state.waiting == nil, "two tasks wait for messages of one connection")
          if Task.isCancelled { return .failure(CancellationError()) }
          // A message may have arrived since the first check.
          if let (message, hasRoom) = state.takeFirst() {
            if hasRoom { onRoom() }
            return .success(message)
          }
          if let end = state.end { return end.map { nil }.mapError { $0 } }
          state.waiting = continuation
          return nil
        }
        if let outcome { continuation.resume(with: outcome) }
      }
    } onCancel: {
      let waiting = state.withLock { state -> CheckedContinuation<OwnedMessage?, any Error>? in
        guard state.waits == wait else { return nil }
        defer { state.waiting = nil }
        return state.waiting
      }
      waiting?.resume(throwing: CancellationError())
    }
  }
}

extension Inbox.State {
  /// Removes the next message. `hasRoom` is true when reading may go on.
  fileprivate mutating func takeFirst() -> (OwnedMessage, hasRoom: Bool)? {
    guard first < messages.count else { return nil }
    let message = messages[first]
    first += 1
    bytes -= message.bytes.count
    if first == messages.count || first > Inbox.maxMessages {
      messages.removeFirst(first)
      first = 0
    }
    guard isFull, messages.count - first <= Inbox.maxMessages / 2, bytes <= Inbox.maxBytes / 2 else {
      return (message, false)
    }
    isFull = false
    return (message, true)
  }
}
