internal import Confab

/// The plain protocol, for clients that request no subprotocol. Each message goes unchanged, with its kind and bytes,
/// to all members of the room. It is the protocol of a tutorial, whose page displays messages unchanged. Messages of
/// the rich protocol therefore have the form that this page gives to its own messages.
enum PlainProtocol {
  /// Returns the plain form of a message of the rich protocol: the date, the name, the text.
  static func form(of message: Message, from name: String, at milliseconds: Int64) -> [UInt8] {
    var bytes = Array("At \(WallClock.text(of: milliseconds)) UTC\n来自用户\(name)\n".utf8)
    bytes.append(message)
    return bytes
  }
}
