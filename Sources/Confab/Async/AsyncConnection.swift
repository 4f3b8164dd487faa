internal import Synchronization

/// A WebSocket client for tasks, see ``Server/connections``: its messages are a sequence, and sending waits while it has
/// too much to read.
///
/// ```swift
/// for try await message in connection.messages {
///   try await connection.send(message)
/// }
/// ```
///
/// All calls are for any task. A connection that nobody refers to any more is closed, with 1000 if it has not been closed
/// otherwise.
public final class AsyncConnection: Sendable {
  let core: Core

  /// The request that the client connected with.
  public let request: RequestHead
  /// What ``Authorization/accept(context:)`` has given it.
  public let context: (any AnyObject & Sendable)?
  /// The event loop that it lives on. A task that prefers it as its executor saves the way to it and back.
  public var loop: EventLoop { core.connection.loop }

  init(_ core: Core, _ request: RequestHead, _ context: (any AnyObject & Sendable)?) {
    (self.core, self.request, self.context) = (core, request, context)
  }

  deinit {
    let connection = core.connection
    connection.loop.execute { connection.close() }
  }

  /// What the client sends, until the connection ends. Reading goes ahead by at most 32 messages or 64 KiB: a consumer
  /// that is slower makes the client wait, as TCP does.
  ///
  /// The sequence ends when the closing handshake is complete. It throws ``ConfabError/Code/connectionClosed`` when the
  /// connection ends without, and `CancellationError` when the task is cancelled, which leaves the connection open. One
  /// task at a time may wait for messages: a second one traps.
  public var messages: Messages { Messages(connection: self) }

  /// How the connection has ended; nil while it has not.
  public var close: Close? { core.close }

  /// Sends a message to this client. Returns once it has been accepted, and while more than
  /// ``Configuration/backlogMark`` waits to be taken by the client, when that has been.
  ///
  /// - Throws: ``ConfabError/Code/connectionClosed`` when the message won't be sent, since the connection is closing or
  ///   closed; `CancellationError` when the task is cancelled while it waits: the message may be sent nevertheless.
  public func send(_ message: OwnedMessage) async throws { try await core.send(message) }

  /// Sends text to this client, as ``send(_:)-(OwnedMessage)`` does.
  public func send(_ text: String) async throws { try await core.send(OwnedMessage(text)) }

  /// Begins the closing handshake, see ``Connection/close(_:reason:)``: ``messages`` ends when it is done.
  public func close(_ code: CloseCode = .normal, reason: String = "") {
    let connection = core.connection
    connection.loop.execute { connection.close(code, reason: reason) }
  }

  /// Runs `body` on the connection's event loop, where all of ``Connection`` can be used: joining a log, for instance.
  /// When the loop has ended already, it throws ``ConfabError/Code/connectionClosed``.
  public func onLoop<Result: Sendable>(_ body: @escaping @Sendable (Connection) -> Result) async throws -> Result {
    let connection = core.connection
    return try await withCheckedThrowingContinuation { continuation in
      let isTaken = connection.loop.execute { continuation.resume(returning: body(connection)) }
      if !isTaken { continuation.resume(throwing: core.closedError) }
    }
  }

  /// See ``AsyncConnection/messages``.
  public struct Messages: AsyncSequence {
    let connection: AsyncConnection

    /// Takes one message after the other.
    public struct Iterator: AsyncIteratorProtocol {
      let connection: AsyncConnection
      public mutating func next() async throws -> OwnedMessage? { try await connection.core.next() }
    }

    public func makeAsyncIterator() -> Iterator { Iterator(connection: connection) }
  }
}
