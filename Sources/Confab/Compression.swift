/// How messages are compressed for a connection: permessage-deflate, RFC 7692.
///
/// Each message is compressed by itself, in both directions, so that the same bytes serve every reader, and nobody needs
/// memory between messages. The server tells its clients so, whether they have asked for it or not:
/// `server_no_context_takeover` and `client_no_context_takeover`, sections 7.1.1.1 and 7.1.1.2.
enum Compression: UInt8, CaseIterable, Sendable {
  /// For clients that let the server use all of the window.
  case wide = 15
  /// For those that ask for less, whatever it is.
  case narrow = 9

  /// The base-2 logarithm of the LZ77 window's size, section 7.1.2.
  var windowBits: Int32 { Int32(rawValue) }

  /// The name of the extension.
  static let name = "permessage-deflate"

  /// The parameters of the server's answer, behind the name.
  var parameters: String {
    let takeover = "; server_no_context_takeover; client_no_context_takeover"
    return self == .wide ? takeover : "\(takeover); server_max_window_bits=\(rawValue)"
  }

  /// What the server does for the first offer that it can accept in a Sec-WebSocket-Extensions header, section 5.
  init?(offers: String) {
    for offer in Compression.offers(in: offers) {
      if let compression = Compression(parameters: offer.dropFirst()) {
        self = compression
        return
      }
    }
    return nil
  }

  /// The offers of the extension, each its name and its parameters.
  private static func offers(in header: String) -> [[Substring]] {
    header.listElements.map { $0.parts(separatedBy: ";").map(\.trimmed) }.filter { $0[0].isSame(as: name) }
  }

  /// Nil when an offer must be declined: for a parameter that the extension does not have, has twice, or has with another
  /// value, section 7.1; and for a window of 256 bytes, which zlib cannot keep to.
  private init?(parameters: ArraySlice<Substring>) {
    var seen = Set<Substring>()
    var bits = 15
    for parameter in parameters {
      let parts = parameter.parts(separatedBy: "=", maxSplits: 1).map(\.trimmed)
      guard seen.insert(parts[0]).inserted else { return nil }
      let value = parts.count > 1 ? parts[1].unquoted : nil
      switch parts[0] {
      case "server_no_context_takeover", "client_no_context_takeover":
        guard value == nil else { return nil }
      case "server_max_window_bits":
        guard let number = value.flatMap(Compression.windowBits) else { return nil }
        bits = number
      case "client_max_window_bits":
        guard value == nil || value.flatMap(Compression.windowBits) != nil else { return nil }
      default: return nil
      }
    }
    guard bits > 8 else { return nil }
    self = bits == 15 ? .wide : .narrow
  }

  /// 8 to 15, without leading zeros.
  private static func windowBits(_ text: Substring) -> Int? {
    guard let number = Int(text), 8...15 ~= number, text == "\(number)" else { return nil }
    return number
  }
}

extension Substring {
  fileprivate var unquoted: Substring {
    let quote = UInt8(ascii: "\"")
    return utf8.count >= 2 && utf8.first == quote && utf8.last == quote ? Substring(utf8.dropFirst().dropLast()) : self
  }
}
