/// Reasons for which the server rejects, closes, drops or slows down something. Each has a counter in
/// ``Server/statistics``.
public enum RejectionReason: String, CaseIterable, Sendable {
  // MARK: Requests, answered with a status (RFC 9110, section 15)

  /// 400: the request is malformed. The response and the log contain the reason.
  case badRequest
  /// 403: ``Configuration/allowedOrigins`` does not allow the origin.
  case originNotAllowed
  /// 403: ``Configuration/allowedHosts`` does not allow the host.
  case hostNotAllowed
  /// 308 for a page, otherwise 400: the server uses TLS, and the request is not encrypted.
  case notEncrypted
  /// 404: the path does not exist.
  case notFound
  /// 405: the method is not GET, HEAD or OPTIONS.
  case methodNotAllowed
  /// 408: ``Configuration/handshakeTimeout``.
  case handshakeTimeout
  /// 413: the request has a body.
  case bodyNotAllowed
  /// 414: ``Configuration/maxPathLength``.
  case pathTooLong
  /// 426: the version of the WebSocket protocol is not 13 (RFC 6455, section 4.4).
  case versionNotSupported
  /// 429: ``Configuration/maxConnectionsPerAddress``.
  case tooManyFromAddress
  /// 431: ``Configuration/maxHeaderSize``.
  case headersTooLarge
  /// 503: ``Configuration/maxConnections``.
  case tooManyConnections
  /// The handler has rejected the client, with a status of its choice, see ``Handler/authorize(_:)``.
  case rejectedByHandler
  /// 503: the authorization was not decided within ``Configuration/handshakeTimeout``, see ``Authorization/ask(_:)``.
  case authorizationTimeout
  /// No response: the client has disconnected before a complete request, or the TLS handshake is invalid.
  case notUnderstood
  /// No response: a trusted proxy has not sent a valid PROXY protocol header within ``Configuration/handshakeTimeout``,
  /// see ``Configuration/proxyProtocol``.
  case badProxyHeader

  // MARK: Connections, closed with a code (RFC 6455, section 7.4)

  /// 1009: ``Configuration/maxMessageSize``.
  case messageTooBig
  /// 1008: ``Configuration/maxFragments``.
  case tooManyFragments
  /// 1007: a text message or a close reason is not UTF-8.
  case notUtf8
  /// 1007: a compressed message cannot be inflated.
  case notDeflate
  /// 1002: the client has violated the WebSocket protocol.
  case protocolError
  /// 1013: ``Configuration/maxUnfinishedBytes``.
  case tooManyUnfinished
  /// 1013: ``Configuration/maxBacklog``.
  case tooFarBehind

  // MARK: Connections, dropped

  /// ``Configuration/idleTimeout``.
  case idle
  /// ``Configuration/closeTimeout``.
  case closeTimeout

  // MARK: Peers, slowed down

  /// ``Configuration/maxAcceptRate``: new connections wait.
  case acceptRate
  /// ``Configuration/maxMessageRate``: reading from the connection pauses.
  case messageRate
  /// ``Configuration/maxByteRate``: reading from the connection pauses.
  case byteRate
  /// ``Configuration/maxPingRate``: reading from the connection pauses.
  case pingRate

  /// The status of the response; nil if the rejection is not a response to a request.
  var status: Int? {
    switch self {
    case .badRequest, .notEncrypted: 400
    case .originNotAllowed, .hostNotAllowed: 403
    case .notFound: 404
    case .methodNotAllowed: 405
    case .handshakeTimeout: 408
    case .bodyNotAllowed: 413
    case .pathTooLong: 414
    case .versionNotSupported: 426
    case .tooManyFromAddress: 429
    case .headersTooLarge: 431
    case .tooManyConnections, .rejectedByHandler, .authorizationTimeout: 503
    default: nil
    }
  }
}
