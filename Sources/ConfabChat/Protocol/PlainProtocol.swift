internal import Confab

/// The plain protocol, for clients that request no subprotocol. Each message goes unchanged, with its kind and bytes,
/// to all members of the room. This is the protocol of a tutorial. The tutorial's page formats its own messages and
/// displays received messages unchanged. So messages of rich clients are sent in the format of this page.
enum PlainProtocol {
  /// Returns the plain form of a message of the rich protocol: the date, the name, the text.
  static func form(of message: Message, from name: String, at milliseconds: Int64) -> [UInt8] {
    var bytes = Array("At \(WallClock.text(of: milliseconds)) UTC\n来自用户\(name)\n".utf8)
    bytes.append(message)
    return bytes
  }
}
