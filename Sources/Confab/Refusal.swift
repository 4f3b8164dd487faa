/// Why the server has refused, ended or slowed down something. Each has a counter, see ``Server/statistics``.
public enum Refusal: String, CaseIterable, Sendable {
  // MARK: Requests, answered with a status (RFC 9110, section 15)

  /// 400: what is missing or wrong in the request's head is in the answer and in the log.
  case badRequest
  /// 403: ``Configuration/allowedOrigins`` says no.
  case originNotAllowed
  /// 403: ``Configuration/allowedHosts`` says no.
  case hostNotAllowed
  /// 308 for a page, otherwise 400: ``Configuration/tls`` is there, and the request is not encrypted.
  case notEncrypted
  /// 404: nothing is served there.
  case notFound
  /// 405: only GET, HEAD and OPTIONS are answered.
  case methodNotAllowed
  /// 408: ``Configuration/handshakeTimeout``.
  case handshakeTimeout
  /// 413: requests have no bodies here.
  case bodyNotAllowed
  /// 414: ``Configuration/maxPathLength``.
  case pathTooLong
  /// 426: only version 13 of the protocol is spoken (RFC 6455, section 4.4).
  case versionNotSupported
  /// 429: ``Configuration/maxConnectionsPerAddress``.
  case tooManyFromAddress
  /// 431: ``Configuration/maxHeaderSize``.
  case headersTooLarge
  /// 503: ``Configuration/maxConnections``.
  case tooManyConnections
  /// The handler has refused the client, with a status of its choice: see ``Handler/authorize(_:)``.
  case refusedByHandler
  /// 503: it has not said in time what it was asked, see ``Authorization/ask(_:)``.
  case authorizationTimeout
  /// No answer: the client has gone without a whole request, or libwebsockets could make nothing of the TLS handshake.
  case notUnderstood
  /// No answer: what a trusted proxy has sent is no header of the PROXY protocol, or has not come within
  /// ``Configuration/handshakeTimeout``, see ``Configuration/proxyProtocol``.
  case badProxyHeader

  // MARK: Connections, closed with a code (RFC 6455, section 7.4)

  /// 1009: ``Configuration/maxMessageSize``.
  case messageTooBig
  /// 1008: ``Configuration/maxFragments``.
  case tooManyFragments
  /// 1007: text, or a close reason, that is not UTF-8.
  case notUtf8
  /// 1007: a compressed message that cannot be expanded.
  case notDeflate
  /// 1002: what the protocol does not allow.
  case protocolError
  /// 1013: ``Configuration/maxUnfinishedBytes``.
  case tooManyUnfinished
  /// 1013: ``Configuration/maxBacklog``.
  case tooFarBehind

  // MARK: Connections, cut off

  /// ``Configuration/idleTimeout``.
  case idle
  /// ``Configuration/closeTimeout``.
  case closeTimeout

  // MARK: Peers, slowed down

  /// ``Configuration/maxAcceptRate``: new connections wait.
  case acceptRate
  /// ``Configuration/maxMessageRate``: the connection is not read for a while.
  case messageRate
  /// ``Configuration/maxByteRate``: the connection is not read for a while.
  case byteRate
  /// ``Configuration/maxPingRate``: the connection is not read for a while.
  case pingRate

  /// The status that the request is answered with; nil for what is no request.
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
    case .tooManyConnections, .refusedByHandler, .authorizationTimeout: 503
    default: nil
    }
  }
}
