/// The decision whether a client may connect, see ``Handler/authorize(_:)``.
public enum Authorization: Sendable {
  /// The client may connect. `context` is the initial ``Connection/context``, for instance the user.
  case accept(context: (any AnyObject & Sendable)? = nil)
  /// The client is rejected with this response.
  case reject(Response)
  /// The closure decides, in a task of its own, off the event loop, while the client waits. After
  /// ``Configuration/handshakeTimeout`` the client gets status 503 and the task is cancelled. The task is also
  /// cancelled when the server stops.
  case ask(@Sendable () async -> Authorization)
}
