/// What a server does with its connections. Each event loop has a handler of its own, which it calls on its thread,
/// synchronously: a handler needs no locks for what it alone uses, and must not block.
///
/// For each connection the calls come in this order: ``opened(_:request:)`` once, any number of
/// ``received(_:from:)`` and ``drained(_:)``, ``closed(_:_:)`` once.
public protocol Handler: AnyObject {
  /// Whether a client may connect: nil, which is the default, or how its request is answered instead. Asked before
  /// ``opened(_:request:)``, once the request has passed all checks of the server. ``Request/subprotocol`` is not known
  /// yet.
  func denial(of request: borrowing Request) -> Denial?

  /// A client has connected. `request` is the HTTP request that it did so with; it can't outlive the call.
  func opened(_ connection: Connection, request: Request)

  /// A whole message has arrived. Its bytes are borrowed: copy what should outlive the call.
  func received(_ message: Message, from connection: Connection)

  /// Everything sent has been handed to the kernel, after ``Connection/send(_:)`` had said
  /// ``SendResult/backlogged``.
  func drained(_ connection: Connection)

  /// The connection has ended. Nothing can be sent any more.
  func closed(_ connection: Connection, _ close: Close)
}

extension Handler {
  public func denial(of request: borrowing Request) -> Denial? { nil }
  public func opened(_ connection: Connection, request: Request) {}
  public func drained(_ connection: Connection) {}
  public func closed(_ connection: Connection, _ close: Close) {}
}
