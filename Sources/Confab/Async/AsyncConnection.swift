internal import Synchronization

/// A WebSocket connection for tasks, see ``Server/connections``. Its messages are a sequence. Sending suspends the task
/// while the client's backlog is too large.
///
/// ```swift
/// for try await message in connection.messages {
///   try await connection.send(message)
/// }
/// ```
///
/// All calls are allowed from any task. When the last reference is released, the connection is closed with 1000, unless
/// it has been closed already.
public final class AsyncConnection: Sendable {
  let core: Core

  /// The opening request of the client.
  public let request: RequestHead
  /// The context given to ``Authorization/accept(context:headers:)``.
  public let context: (any AnyObject & Sendable)?
  /// The event loop of the connection. A task that prefers it as its executor avoids switching threads.
  public var loop: EventLoop { core.connection.loop }

  init(_ core: Core, _ request: RequestHead, _ context: (any AnyObject & Sendable)?) {
    (self.core, self.request, self.context) = (core, request, context)
  }

  deinit {
    let connection = core.connection
    connection.loop.execute { connection.close() }
  }

  /// The client's messages, until the connection is closed. At most 32 messages or 64 KiB are read ahead. If the
  /// consumer is slower than the client, TCP slows the client down.
  ///
  /// The sequence ends when the closing handshake is complete. It throws ``ConfabError/Code/connectionClosed`` if the
  /// connection is closed without a closing handshake. It throws `CancellationError` if the task is cancelled; the
  /// connection then stays open. Only one task at a time may wait for messages: a second task traps.
  public var messages: Messages { Messages(connection: self) }

  /// Close code and reason of the closed connection; nil before it is closed.
  public var close: Close? { core.close }

  /// Sends a message to this client. Returns when the message is queued. If the backlog is then over
  /// ``Configuration/backlogMark``, returns when the kernel has taken the whole backlog.
  ///
  /// - Throws: ``ConfabError/Code/connectionClosed`` if the message is not sent because the connection is closing or
  ///   closed; `CancellationError` if the task is cancelled while it waits. In this case the message may be sent
  ///   nevertheless.
  public func send(_ message: OwnedMessage) async throws { try await core.send(message) }

  /// Sends text to this client, as ``send(_:)-(OwnedMessage)`` does.
  public func send(_ text: String) async throws { try await core.send(OwnedMessage(text)) }

  /// Begins the closing handshake, see ``Connection/close(_:reason:)``. ``messages`` ends when the handshake is
  /// complete.
  public func close(_ code: CloseCode = .normal, reason: String = "") {
    let connection = core.connection
    connection.loop.execute { connection.close(code, reason: reason) }
  }

  /// Runs `body` on the connection's event loop, where all of ``Connection`` is available: for joining a log, for
  /// instance. Throws ``ConfabError/Code/connectionClosed`` if the loop has ended.
  public func onLoop<Result: Sendable>(_ body: @escaping @Sendable (Connection) -> Result) async throws -> Result {
    let connection = core.connection
    return try await withCheckedThrowingContinuation { continuation in
      let isTaken = connection.loop.execute { continuation.resume(returning: body(connection)) }
      if !isTaken { continuation.resume(throwing: core.closedError) }
    }
  }

  /// The messages of a connection, see ``AsyncConnection/messages``.
  public struct Messages: AsyncSequence {
    let connection: AsyncConnection

    /// Returns one message after the other.
    public struct Iterator: AsyncIteratorProtocol {
      let connection: AsyncConnection
      public mutating func next() async throws -> OwnedMessage? { try await connection.core.next() }
    }

    public func makeAsyncIterator() -> Iterator { Iterator(connection: connection) }
  }
}
