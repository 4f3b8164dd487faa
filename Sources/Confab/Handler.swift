/// What a server does with its connections. Each event loop has a handler of its own, which it calls on its thread,
/// synchronously: a handler needs no locks for what it alone uses, and must not block.
///
/// For each connection the calls come in this order: ``opened(_:request:)`` once, any number of
/// ``received(_:from:)`` and ``drained(_:)``, ``moving(_:after:)`` perhaps, ``closed(_:_:)`` once.
public protocol Handler: AnyObject {
  /// Whether a client may connect. Asked before ``opened(_:request:)``, once the request has passed all checks of the
  /// server. ``Request/subprotocol`` is not known yet. The default is that it may.
  func authorize(_ request: borrowing Request) -> Authorization

  /// The answer to a GET, or HEAD, that is not for a WebSocket; nil, which is the default, leaves it to
  /// ``Configuration/mounts``. For small answers that are there at once.
  func response(to request: borrowing Request) -> Response?

  /// A client has connected. `request` is the HTTP request that it did so with; it can't outlive the call. After
  /// ``Authorization/ask(_:)`` over TLS it has no more headers than libwebsockets knows by name: take others along from
  /// ``authorize(_:)``.
  func opened(_ connection: Connection, request: Request)

  /// A whole message has arrived. Its bytes are borrowed: copy what should outlive the call.
  func received(_ message: Message, from connection: Connection)

  /// Everything sent has been handed to the kernel, after ``Connection/send(_:)-(Message)`` had said
  /// ``Connection/SendResult/backlogged``.
  func drained(_ connection: Connection)

  /// The server is going to stop, and will close the connection with 1001, up to two seconds after `delay`: a client that
  /// understands should be told to be elsewhere by then. Each gets another delay, so that not all come there at once. Until
  /// then all goes on as before. Called once, if ``Configuration/drainTime`` is not 0.
  func moving(_ connection: Connection, after delay: Duration)

  /// The connection has ended. Nothing can be sent any more.
  func closed(_ connection: Connection, _ close: Close)
}

extension Handler {
  public func authorize(_ request: borrowing Request) -> Authorization { .accept() }
  public func response(to request: borrowing Request) -> Response? { nil }
  public func opened(_ connection: Connection, request: Request) {}
  public func drained(_ connection: Connection) {}
  public func moving(_ connection: Connection, after delay: Duration) {}
  public func closed(_ connection: Connection, _ close: Close) {}
}
