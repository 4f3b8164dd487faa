internal import Synchronization

extension AsyncConnection {
  /// The state that the loop and the tasks of a connection share. It is the connection's context, which is released
  /// when the connection is closed.
  final class Core: Sendable {
    let connection: Connection
    private let inbox = Inbox()
    private let state = Mutex(State())
    private struct State {
      var close: Close?
      var lastSend = 0
      /// Tasks that wait until the client's backlog has been sent, by the number of their call.
      var waiting: [Int: CheckedContinuation<Void, any Error>] = [:]
      /// Calls that were cancelled before they began to wait.
      var cancelled: Set<Int> = []
    }

    init(_ connection: Connection) { self.connection = connection }

    var close: Close? { state.withLock { $0.close } }

    var closedError: ConfabError {
      let how = close.map { "was closed with \($0.code.rawValue)\($0.reason.isEmpty ? "" : ": \($0.reason)")" }
      return ConfabError(.connectionClosed, "the connection \(how ?? "is closing"): nothing can be sent any more")
    }

    // MARK: The task's side

    /// Handles that a task has taken the connection.
    func wasTaken() { resumeReading() }

    private func resumeReading() {
      let connection = connection
      connection.loop.execute { connection.resumeReading() }
    }

    func next() async throws -> OwnedMessage? {
      try await inbox.next { resumeReading() }
    }

    func send(_ message: OwnedMessage) async throws {
      let id = state.withLock { state in
        state.lastSend += 1
        return state.lastSend
      }
      defer { state.withLock { _ = $0.cancelled.remove(id) } }
      try await withTaskCancellationHandler {
        try await withCheckedThrowingContinuation { continuation in
          let isTaken = connection.loop.execute { self.send(message, id, continuation) }
          if !isTaken { continuation.resume(throwing: closedError) }
        }
      } onCancel: {
        let waiting = state.withLock { state in
          let waiting = state.waiting.removeValue(forKey: id)
          if waiting == nil { state.cancelled.insert(id) }
          return waiting
        }
        waiting?.resume(throwing: CancellationError())
      }
    }

    // MARK: The loop's side

    private func send(_ message: OwnedMessage, _ id: Int, _ continuation: CheckedContinuation<Void, any Error>) {
      switch connection.send(message.message) {
      case .queued: continuation.resume()
      case .dropped: continuation.resume(throwing: closedError)
      case .backlogged:
        let isWaiting = state.withLock { state in
          guard state.cancelled.remove(id) == nil else { return false }
          state.waiting[id] = continuation
          return true
        }
        if !isWaiting { continuation.resume(throwing: CancellationError()) }
      }
    }

    func received(_ message: Message) {
      if !inbox.add(OwnedMessage(message)) { connection.pauseReading() }
    }

    func drained() {
      for continuation in takeWaiting() { continuation.resume() }
    }

    func closed(_ close: Close) {
      state.withLock { $0.close = close }
      let error = closedError
      inbox.end(close.isClean ? .success(()) : .failure(error))
      for continuation in takeWaiting() { continuation.resume(throwing: error) }
    }

    private func takeWaiting() -> [CheckedContinuation<Void, any Error>] {
      state.withLock { state in
        defer { state.waiting = [:] }
        return state.waiting.sorted { $0.key < $1.key }.map(\.value)
      }
    }
  }
}
