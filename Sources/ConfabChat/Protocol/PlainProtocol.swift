internal import Confab
internal import FoundationEssentials

/// The plain protocol, for clients that ask for no subprotocol: each message goes to everyone in the room as it is, with
/// the same kind and the same bytes. It is that of a tutorial, whose page shows what it gets as it is; what is said by
/// the rich protocol comes in the form that this page gives its own messages.
enum PlainProtocol {
  /// What somebody of the rich protocol has said: the date, the name, the text.
  static func form(of message: Message, from name: String, at milliseconds: Int64) -> [UInt8] {
    let date = Date(timeIntervalSince1970: Double(milliseconds) / 1000).formatted(style)
    var bytes = Array("At \(date) UTC\n来自用户\(name)\n".utf8)
    bytes.append(message)
    return bytes
  }

  private static let style = Date.ISO8601FormatStyle().year().month().day().dateTimeSeparator(.space)
    .time(includingFractionalSeconds: false)
}
