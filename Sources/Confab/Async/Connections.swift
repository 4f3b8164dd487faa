internal import Synchronization

extension Server {
  /// Creates a server whose connections are handled by tasks, see ``connections``.
  ///
  /// ```swift
  /// let server = try Server(Configuration(port: 8080))
  /// try await withThrowingDiscardingTaskGroup { group in
  ///   group.addTask { try await server.run() }
  ///   for try await connection in server.connections {
  ///     group.addTask {
  ///       for try await message in connection.messages { try await connection.send(message) }
  ///     }
  ///   }
  /// }
  /// ```
  ///
  /// A handler is faster: it does not copy messages, and does not switch threads.
  ///
  /// - Parameters:
  ///   - configuration: all settings.
  ///   - authorize: decides whether a client may connect, see ``Handler/authorize(_:)``. Called on the event loops'
  ///     threads.
  public convenience init(
    _ configuration: Configuration = Configuration(),
    authorize: @escaping @Sendable (borrowing Request) -> Authorization = { _ in .accept() }
  ) throws(ConfabError) {
    let connections = Connections()
    try self.init(configuration, on: nil, connections: connections) { _ in
      AsyncHandler(connections, authorize: authorize)
    }
  }
}

/// The connections of a server, see ``Server/connections``.
public final class Connections: AsyncSequence, Sendable {
  private struct State {
    var queue: [AsyncConnection] = []
    var waiting: [(id: Int, continuation: CheckedContinuation<AsyncConnection?, any Error>)] = []
    var lastID = 0
    var hasEnded = false
  }
  private let state = Mutex(State())

  /// Returns one connection after the other.
  public struct Iterator: AsyncIteratorProtocol {
    let connections: Connections
    public mutating func next() async throws -> AsyncConnection? { try await connections.take() }
  }

  public func makeAsyncIterator() -> Iterator { Iterator(connections: self) }

  func add(_ connection: AsyncConnection) {
    let waiting = state.withLock { state in
      guard !state.waiting.isEmpty else {
        state.queue.append(connection)
        return nil as CheckedContinuation<AsyncConnection?, any Error>?
      }
      return state.waiting.removeFirst().continuation
    }
    waiting?.resume(returning: connection)
  }

  /// Removes a connection that was closed before a task has taken it.
  func remove(_ core: AsyncConnection.Core) {
    // Released after the lock, because releasing closes the connection.
    let removed = state.withLock { state in
      state.queue.firstIndex { $0.core === core }.map { state.queue.remove(at: $0) }
    }
    _ = removed
  }

  /// Ends the sequence, because the server has stopped.
  func end() {
    let (waiting, _) = state.withLock { state in
      state.hasEnded = true
      defer { (state.waiting, state.queue) = ([], []) }
      return (state.waiting, state.queue)
    }
    for one in waiting { one.continuation.resume(returning: nil) }
  }

  private func take() async throws -> AsyncConnection? {
    let id = state.withLock { state in
      state.lastID += 1
      return state.lastID
    }
    let connection = try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let outcome = state.withLock { state -> Result<AsyncConnection?, any Error>? in
          if Task.isCancelled { return .failure(CancellationError()) }
          if !state.queue.isEmpty { return .success(state.queue.removeFirst()) }
          if state.hasEnded { return .success(nil) }
          state.waiting.append((id, continuation))
          return nil
        }
        if let outcome { continuation.resume(with: outcome) }
      }
    } onCancel: {
      let waiting = state.withLock { state in
        state.waiting.firstIndex { $0.id == id }.map { state.waiting.remove(at: $0).continuation }
      }
      waiting?.resume(throwing: CancellationError())
    }
    connection?.core.wasTaken()
    return connection
  }
}

/// Hands the connections and messages of an event loop to tasks.
private final class AsyncHandler: Handler {
  private let connections: Connections
  private let authorize: @Sendable (borrowing Request) -> Authorization

  init(_ connections: Connections, authorize: @escaping @Sendable (borrowing Request) -> Authorization) {
    (self.connections, self.authorize) = (connections, authorize)
  }

  /// The context given to ``Authorization/accept(context:headers:)``, until the connection is open.
  private final class Context: Sendable {
    let value: (any AnyObject & Sendable)?
    init(_ value: (any AnyObject & Sendable)?) { self.value = value }
  }

  func authorize(_ request: borrowing Request) -> Authorization { AsyncHandler.wrap(authorize(request)) }

  private static func wrap(_ authorization: Authorization) -> Authorization {
    switch authorization {
    case .accept(let acceptance): .accept(context: Context(acceptance.context))
    case .reject: authorization
    case .ask(let ask): .ask { wrap(await ask()) }
    }
  }

  func opened(_ connection: Connection, request: Request) {
    let core = AsyncConnection.Core(connection)
    let context = (connection.context as? Context)?.value
    connection.context = core
    // Until a task takes the connection.
    connection.pauseReading()
    connections.add(AsyncConnection(core, RequestHead(request), context))
  }

  func received(_ message: Message, from connection: Connection) { core(of: connection)?.received(message) }

  func drained(_ connection: Connection) { core(of: connection)?.drained() }

  func closed(_ connection: Connection, _ close: Close) {
    guard let core = core(of: connection) else { return }
    core.closed(close)
    connections.remove(core)
    connection.context = nil
  }

  private func core(of connection: Connection) -> AsyncConnection.Core? { connection.context as? AsyncConnection.Core }
}
