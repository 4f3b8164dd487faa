public import Confab

/// Decides who a client is and what it may do, from its request and an optional token.
///
/// A token comes from the first of these: the header `Authorization: Bearer`, the query `?token=`, a `hello` of the
/// rich protocol, a ``cookie``. Tokens are opaque to the chat: 1 to ``maxTokenLength`` visible ASCII characters. The
/// chat does not log them.
///
/// - Plain clients, and rich clients with a token in the header or the query, are admitted during the handshake. A
///   rejected client gets the status of its ``AdmissionError``.
/// - Other rich clients are admitted when their `hello` arrives, with the token of the `hello` or of the cookie. A
///   rejected client gets the error as an event. It is then closed with 4003, or with 1013 for
///   ``AdmissionError/Code/unavailable``. If the first event is not a `hello`, the client is closed with 1008. If no
///   event arrives within `Configuration/handshakeTimeout`, the client is closed with 4003.
///
/// Only admitted clients open a room.
public struct Admission: Sendable {
  /// A decision about a client.
  public enum Decision: Sendable {
    /// The client is this user. It may enter its room if ``Identity/mayEnter(_:)`` is true.
    case admit(Identity)
    /// The client is rejected.
    case reject(AdmissionError)
    /// The closure decides in a task, while the client waits. After `Configuration/handshakeTimeout` the client is
    /// rejected, and the task is cancelled.
    case ask(@Sendable () async -> Decision)
  }

  /// Maximum length of a token in bytes. Longer tokens are rejected.
  public static let maxTokenLength = 8 << 10

  /// Name of the cookie with the token; nil, the default, reads no cookie.
  ///
  ///
  /// A browser sends its cookies with every request, from any page. So the chat reads the cookie only if the request's
  /// `Origin` is the server's own, or is listed by name in `Configuration/allowedOrigins`. The origins `null` and
  /// `file://`, and origins that only `*` allows, are not sufficient.
  public var cookie: String?
  /// Time for a rich client to send a new token after its identity has expired. Without a new token, the client is
  /// closed with 4002. The default is 30 s. Plain clients cannot send a token and are closed at once.
  public var grace = Duration.seconds(30)
  private let decide: @Sendable (RequestHead, String?, EventLoop) -> Decision
  /// Whether this is ``open``. The chat then admits clients without calling `decide`.
  let isOpen: Bool

  private init(isOpen: Bool, _ decide: @escaping @Sendable (RequestHead, String?, EventLoop) -> Decision) {
    (self.isOpen, self.decide) = (isOpen, decide)
  }

  /// Every client may enter every room, with any free name.
  public static let open = Admission(isOpen: true) { _, _, _ in .admit(Identity(id: "anyone")) }

  /// Creates an admission that decides at once, or later by ``Decision/ask(_:)``.
  ///
  /// - Parameter decide: called on the thread of the client's event loop: it must not block. `token` is nil if the
  ///   client has none.
  public init(deciding decide: @escaping @Sendable (_ request: RequestHead, _ token: String?) -> Decision) {
    self.init(isOpen: false) { request, token, _ in decide(request, token) }
  }

  /// Creates an admission whose closure also gets the client's event loop.
  package init(onLoop decide: @escaping @Sendable (RequestHead, String?, EventLoop) -> Decision) {
    self.init(isOpen: false, decide)
  }

  /// Creates an admission that decides in a task.
  ///
  /// - Parameter admit: returns the identity, or throws an ``AdmissionError``. After any other error, the client is
  ///   rejected with ``AdmissionError/Code/forbidden``, without details.
  public init(admit: @escaping @Sendable (_ request: RequestHead, _ token: String?) async throws -> Identity) {
    self.init(deciding: { request, token in
      .ask {
        do {
          return .admit(try await admit(request, token))
        } catch {
          return .reject(error as? AdmissionError ?? AdmissionError(.forbidden))
        }
      }
    })
  }

  /// Decides about a client. Rejects tokens that are too long or contain characters other than visible ASCII.
  func decision(_ request: RequestHead, _ token: String?, on loop: EventLoop) -> Decision {
    if let token, !Admission.isToken(token) { return .reject(AdmissionError(.tokenInvalid)) }
    return decide(request, token, loop)
  }

  private static func isToken(_ text: String) -> Bool {
    1...maxTokenLength ~= text.utf8.count && text.utf8.allSatisfy { 0x21...0x7E ~= $0 }
  }
}

extension Admission.Decision {
  /// The identity of an admitted client. Throws the error of a rejected client, or `unavailable` if the decision is
  /// pending.
  var identity: Identity {
    get throws(AdmissionError) {
      switch self {
      case .admit(let identity): return identity
      case .reject(let error): throw error
      case .ask: throw AdmissionError(.unavailable)
      }
    }
  }

  /// Waits for the decision, if it is pending, and returns it.
  func made() async -> Admission.Decision {
    var decision = self
    while case .ask(let ask) = decision {
      if Task.isCancelled { return .reject(AdmissionError(.unavailable)) }
      decision = await ask()
    }
    return decision
  }
}
