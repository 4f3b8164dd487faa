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
    /// The application's headers of the response that accepts the handshake, as lines.
    fileprivate(set) var headerLines = ""
  }

  /// The client may connect. `context` is the initial ``Connection/context``, for instance the user. `headers` are
  /// added to the response with status 101, `Set-Cookie` for example.
  ///
  /// - Precondition: ``problem(withHeaders:)`` has nothing against the headers.
  public static func accept(
    context: (any AnyObject & Sendable)? = nil, headers: [String: String] = [:]
  ) -> Authorization {
    let problem = problem(withHeaders: headers)
    precondition(problem == nil, problem ?? "")
    let lines = headers.sorted { $0.key < $1.key }.map { "\($0): \($1)\r\n" }.joined()
    return .accept(Acceptance(context: context, handlerState: nil, headerLines: lines))
  }

  /// Maximum size of the application's headers, with their names and line breaks.
  private static let maxHeaderBytes = 1024
  /// The headers that the server itself sends or omits.
  private static let serversHeaders: Set = [
    "connection", "upgrade", "sec-websocket-accept", "sec-websocket-extensions", "sec-websocket-protocol",
    "sec-websocket-version", "content-length", "transfer-encoding",
  ]

  /// Returns why ``accept(context:headers:)`` does not take these headers, in a sentence; nil if it does. A name must be
  /// a token, a value must not have control characters (RFC 9110, section 5.5), together they have at most 1024 bytes,
  /// and the headers of the handshake itself cannot be replaced.
  public static func problem(withHeaders headers: [String: String]) -> String? {
    for (name, value) in headers {
      guard Response.canHave(header: name, value) else {
        return "'\("\(name): \(value)".withoutControls)' is not a valid header (RFC 9110, section 5)"
      }
      if serversHeaders.contains(name.lowercased()) { return "'\(name)' is a header of the handshake itself" }
    }
    let size = headers.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count + 4 }
    return size > maxHeaderBytes ? "the headers have \(size) bytes, the limit is \(maxHeaderBytes)" : nil
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
