/// The decision whether a client may connect, see ``Handler/authorize(_:)``.
public enum Authorization: Sendable {
  /// The client may connect.
  case accept(Acceptance)
  /// The client is rejected with this response.
  case reject(Response)
  /// The closure decides, in a task of its own, off the event loop, while the client waits. After
  /// ``Configuration/handshakeTimeout`` the client gets status 503 and the task is cancelled. The task is also
  /// cancelled when the server stops.
  case ask(@Sendable () async -> Authorization)

  /// The initial state of a new connection.
  public struct Acceptance: Sendable {
    /// The initial ``Connection/context``.
    fileprivate(set) var context: (any AnyObject & Sendable)?
    /// The initial ``Connection/handlerState``.
    let handlerState: (any AnyObject & Sendable)?
  }

  /// The client may connect. `context` is the initial ``Connection/context``, for instance the user.
  public static func accept(context: (any AnyObject & Sendable)? = nil) -> Authorization {
    .accept(Acceptance(context: context, handlerState: nil))
  }

  /// The client may connect. `handlerState` is the initial ``Connection/handlerState``.
  package static func accept(handlerState: any AnyObject & Sendable) -> Authorization {
    .accept(Acceptance(context: nil, handlerState: handlerState))
  }

  /// Returns the same decision, with `context` as the initial ``Connection/context`` of the client if it may connect. A
  /// handler that passes ``Handler/authorize(_:)`` on to another one, a chat's for example, adds its context so.
  public func with(context: any AnyObject & Sendable) -> Authorization {
    switch self {
    case .accept(var acceptance):
      acceptance.context = context
      return .accept(acceptance)
    case .reject: return self
    case .ask(let ask): return .ask { await ask().with(context: context) }
    }
  }
}
