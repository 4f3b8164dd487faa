/// A close code (RFC 6455, section 7.4, and IANA's registry).
public struct CloseCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  /// The number in the close frame.
  public var rawValue: UInt16
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// 1000: the connection has served its purpose.
  public static let normal = CloseCode(rawValue: 1000)
  /// 1001: the server stops, or the user has left the page.
  public static let goingAway = CloseCode(rawValue: 1001)
  /// 1002: the peer has violated the protocol.
  public static let protocolError = CloseCode(rawValue: 1002)
  /// 1003: the receiver does not support this type of message.
  public static let unsupportedData = CloseCode(rawValue: 1003)
  /// 1005: the close frame had no code. Never sent.
  public static let noStatus = CloseCode(rawValue: 1005)
  /// 1006: the connection closed without a close frame. Never sent.
  public static let abnormal = CloseCode(rawValue: 1006)
  /// 1007: a text is not UTF-8, or compressed data is invalid.
  public static let invalidPayload = CloseCode(rawValue: 1007)
  /// 1008: the message violates the receiver's policy.
  public static let policyViolation = CloseCode(rawValue: 1008)
  /// 1009: the message is too big.
  public static let messageTooBig = CloseCode(rawValue: 1009)
  /// 1011: an error occurred in the server.
  public static let internalError = CloseCode(rawValue: 1011)
  /// 1012: the server restarts; the client may reconnect.
  public static let serviceRestart = CloseCode(rawValue: 1012)
  /// 1013: the server is overloaded; the client may try again later.
  public static let tryAgainLater = CloseCode(rawValue: 1013)

  /// Whether a close frame may contain the code (RFC 6455, section 7.4.2): codes of the protocol that are not reserved,
  /// registered codes (3000 to 3999) and private codes (4000 to 4999).
  public var isSendable: Bool {
    switch rawValue {
    case 1000...1003, 1007...1014, 3000...4999: true
    default: false
    }
  }

  public var description: String { "\(rawValue)" }
}

/// How a connection was closed.
public struct Close: Equatable, Sendable {
  /// The code of the close frame that began the closing handshake, whichever side sent it. ``CloseCode/noStatus`` if
  /// the frame had none, ``CloseCode/abnormal`` if the connection closed without a close frame.
  ///
  /// libwebsockets 4.1 reports 1012, 1013 and 1014 from a peer as 1002 (lib/roles/ws/ops-ws.c, `lws_ws_rx_sm`).
  public var code: CloseCode
  /// The reason in that frame: UTF-8 of at most 123 bytes; empty if the frame had none.
  public var reason: String
  /// Whether both sides sent a close frame (RFC 6455, section 7.1.4). When the server began, libwebsockets does not
  /// report the peer's close frame, so this is also false if the peer has ended the TCP connection by then.
  public var isClean: Bool

  /// A close with these properties.
  public init(code: CloseCode, reason: String, isClean: Bool) {
    self.code = code
    self.reason = reason
    self.isClean = isClean
  }
}
