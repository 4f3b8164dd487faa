internal import Confab

/// The reason why a client is not admitted. The client gets it as the status of its handshake, or as an error event
/// before the connection is closed.
public struct AdmissionError: Error, Equatable, Sendable {
  /// The kinds of errors, with the status of the handshake. In the rich protocol, they are codes of errors.
  public enum Code: String, CaseIterable, Sendable {
    /// 401: the client has no token, and needs one.
    case tokenRequired
    /// 401: the token is malformed, or it is not signed by a known key, or it is for another service.
    case tokenInvalid
    /// 401: the token has expired.
    case tokenExpired
    /// 403: the token is valid, but does not permit the request.
    case forbidden
    /// 503: the decision cannot be made now.
    case unavailable
  }

  /// The kind of the error.
  public let code: Code
  /// Short text for the client. It must not help an attacker.
  public let message: String

  /// Creates an error.
  ///
  /// - Parameters:
  ///   - code: the kind of the error.
  ///   - message: at most 120 bytes. Nil means a text for `code`.
  public init(_ code: Code, _ message: String? = nil) {
    (self.code, self.message) = (code, message ?? AdmissionError.messages[code] ?? code.rawValue)
  }

  private static let messages: [Code: String] = [
    .tokenRequired: "token required", .tokenInvalid: "invalid token", .tokenExpired: "token expired",
    .forbidden: "not allowed", .unavailable: "not available, try again later",
  ]

  /// The response that rejects a handshake (RFC 6750, section 3).
  var response: Response {
    switch code {
    case .tokenRequired: Response(status: 401, headers: ["WWW-Authenticate": "Bearer"], message + "\n")
    case .tokenInvalid, .tokenExpired:
      Response(status: 401, headers: ["WWW-Authenticate": "Bearer error=\"invalid_token\""], message + "\n")
    case .forbidden: Response(status: 403, message + "\n")
    case .unavailable: Response(status: 503, headers: ["Retry-After": "10"], message + "\n")
    }
  }

  /// The close code after the error event.
  var closeCode: CloseCode { code == .unavailable ? .tryAgainLater : .notAdmitted }

  /// The error of the rich protocol.
  var eventCode: ErrorEvent.Code {
    switch code {
    case .tokenRequired: .tokenRequired
    case .tokenInvalid: .tokenInvalid
    case .tokenExpired: .tokenExpired
    case .forbidden: .forbidden
    case .unavailable: .unavailable
    }
  }
}
