internal import Synchronization

/// What waits for the consumer of a connection: messages that have been read ahead, and then the end. Any thread.
final class Inbox: Sendable {
  /// What is read ahead at the most, but for the message that exceeds it: then the connection is not read.
  static let maxMessages = 32
  static let maxBytes = 64 << 10

  fileprivate struct State {
    /// The next one is at `first`.
    var messages: [OwnedMessage] = []
    var first = 0
    var bytes = 0
    /// Nil while more may come.
    var end: Result<Void, ConfabError>?
    var isFull = false
    var waiting: CheckedContinuation<OwnedMessage?, any Error>?
    /// How often somebody has waited: the cancellation of one who has his message may come when the next one waits.
    var waits = 0
  }
  private let state = Mutex(State())

  /// Adds a message. False when the connection should not be read any more, until ``next(onRoom:)`` says so.
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

  /// No more messages come.
  func end(_ end: Result<Void, ConfabError>) {
    let waiting = state.withLock { state in
      state.end = state.end ?? end
      defer { state.waiting = nil }
      return state.waiting
    }
    waiting?.resume(with: end.map { nil }.mapError { $0 })
  }

  /// The next message; nil at the end. Calls `onRoom` when the connection may be read again.
  func next(onRoom: () -> Void) async throws -> OwnedMessage? {
    // Most of the time there is one: without the rest.
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
          // One may have come just now.
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
  /// The next message, and whether there is room for more since.
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
