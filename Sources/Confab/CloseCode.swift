/// Why a connection ends: the status codes of RFC 6455, section 7.4, and IANA's registry.
public struct CloseCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  /// The number in the close frame.
  public var rawValue: UInt16
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// 1000: what the connection was for is done.
  public static let normal = CloseCode(rawValue: 1000)
  /// 1001: the server stops, or the page has been left.
  public static let goingAway = CloseCode(rawValue: 1001)
  /// 1002: the peer has broken the protocol.
  public static let protocolError = CloseCode(rawValue: 1002)
  /// 1003: a kind of message that the receiver does not take.
  public static let unsupportedData = CloseCode(rawValue: 1003)
  /// The close frame had no code. Never sent.
  public static let noStatus = CloseCode(rawValue: 1005)
  /// There was no close frame. Never sent.
  public static let abnormal = CloseCode(rawValue: 1006)
  /// 1007: text that is not UTF-8, or compressed data that is none.
  public static let invalidPayload = CloseCode(rawValue: 1007)
  /// 1008: the receiver's rules do not allow it.
  public static let policyViolation = CloseCode(rawValue: 1008)
  /// 1009: a message that is too long.
  public static let messageTooBig = CloseCode(rawValue: 1009)
  /// 1011: something went wrong within the server.
  public static let internalError = CloseCode(rawValue: 1011)
  /// 1012: the server starts again; the client may come back.
  public static let serviceRestart = CloseCode(rawValue: 1012)
  /// 1013: there is too much to do; the client may come back later.
  public static let tryAgainLater = CloseCode(rawValue: 1013)

  /// Whether a close frame may carry the code, RFC 6455, section 7.4.2: those of the protocol that are not reserved,
  /// registered ones (3000 to 3999) and private ones (4000 to 4999).
  public var isSendable: Bool {
    switch rawValue {
    case 1000...1003, 1007...1014, 3000...4999: true
    default: false
    }
  }

  public var description: String { "\(rawValue)" }
}

/// How a connection ended.
public struct Close: Equatable, Sendable {
  /// The code of the close frame that began the closing handshake, whichever side sent it; ``CloseCode/noStatus`` when
  /// it had none, ``CloseCode/abnormal`` when there was no close frame.
  ///
  /// libwebsockets 4.1 reports 1012, 1013 and 1014 from a peer as 1002 (lib/roles/ws/ops-ws.c, `lws_ws_rx_sm`).
  public var code: CloseCode
  /// The reason in that frame, UTF-8 of at most 123 bytes; empty when there was none.
  public var reason: String
  /// Whether both sides sent a close frame, RFC 6455, section 7.1.4. When the server began, libwebsockets does not tell
  /// whether the peer has answered: this is false, too, if the peer has ended the TCP connection by then.
  public var isClean: Bool

  /// The same as its parts say.
  public init(code: CloseCode, reason: String, isClean: Bool) {
    self.code = code
    self.reason = reason
    self.isClean = isClean
  }
}
