/// Whether a client may connect, see ``Handler/authorize(_:)``.
public enum Authorization: Sendable {
  /// It may. What `context` says is the connection's ``Connection/context`` from the beginning: who it is, for instance.
  case accept(context: (any AnyObject & Sendable)? = nil)
  /// It gets this answer instead.
  case refuse(Response)
  /// The client waits for what the closure says, which runs off the event loop, as a task of its own. Its time is up with
  /// ``Configuration/handshakeTimeout``: then the client gets status 503, and the task is cancelled, as it is when the
  /// server stops.
  case ask(@Sendable () async -> Authorization)
}
