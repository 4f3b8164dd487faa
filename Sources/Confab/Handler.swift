/// An application's code for the events of connections. Each event loop has its own handler, and calls it synchronously
/// on its thread: a handler needs no locks for its own state, and must not block.
///
/// For each connection, the calls are: ``opened(_:request:)`` once, then any number of ``received(_:from:)`` and
/// ``drained(_:)`` and at most one ``moving(_:after:)``, then ``closed(_:_:)`` once.
public protocol Handler: AnyObject {
  /// Returns whether a client may connect. Called before ``opened(_:request:)``, when the request has passed all checks
  /// of the server. ``Request/subprotocol`` is not known yet. The default implementation accepts every client.
  func authorize(_ request: borrowing Request) -> Authorization

  /// Returns the response to a GET or HEAD request that is not for a WebSocket; nil, the default, leaves the request to
  /// ``Configuration/mounts``. For small responses that are available at once.
  func response(to request: borrowing Request) -> Response?

  /// A client has connected. `request` is its opening request, which cannot outlive the call. With TLS, after
  /// ``Authorization/ask(_:)``, it only has the headers that libwebsockets knows by name: take others along from
  /// ``authorize(_:)``.
  func opened(_ connection: Connection, request: Request)

  /// A complete message has arrived. Its bytes are borrowed: copy what should outlive the call.
  func received(_ message: Message, from connection: Connection)

  /// All messages of the connection have been handed to the kernel, after ``Connection/send(_:)-(Message)`` had
  /// returned ``Connection/SendResult/backlogged``.
  func drained(_ connection: Connection)

  /// The server is about to stop, and will close the connection with 1001, up to two seconds after `delay`. Ask the
  /// client to reconnect elsewhere by then. Each connection gets another delay, so that clients do not reconnect all at
  /// once. Until then the connection works as before. Called once, if ``Configuration/drainTime`` is not 0.
  func moving(_ connection: Connection, after delay: Duration)

  /// The connection is closed. Nothing can be sent any more.
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
