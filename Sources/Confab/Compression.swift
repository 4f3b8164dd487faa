/// How messages are compressed for a connection: permessage-deflate (RFC 7692).
///
/// Each message is compressed on its own, in both directions, so that all readers share the same bytes, and no
/// connection needs memory between messages. The server's response always contains `server_no_context_takeover` and
/// `client_no_context_takeover` (sections 7.1.1.1 and 7.1.1.2), whether the client has asked for them or not.
enum Compression: UInt8, CaseIterable, Sendable {
  /// For clients that allow the maximum window.
  case wide = 15
  /// For clients that ask for any smaller window.
  case narrow = 9

  /// Base-2 logarithm of the LZ77 window size (section 7.1.2).
  var windowBits: Int32 { Int32(rawValue) }

  /// The name of the extension.
  static let name = "permessage-deflate"

  /// The parameters in the server's response, after the name.
  var parameters: String {
    let takeover = "; server_no_context_takeover; client_no_context_takeover"
    return self == .wide ? takeover : "\(takeover); server_max_window_bits=\(rawValue)"
  }

  /// The compression for the first acceptable offer in a Sec-WebSocket-Extensions header (section 5); nil if there is
  /// none.
  init?(offers: String) {
    for offer in Compression.offers(in: offers) {
      if let compression = Compression(parameters: offer.dropFirst()) {
        self = compression
        return
      }
    }
    return nil
  }

  /// Returns the offers of this extension, each as its name and its parameters.
  private static func offers(in header: String) -> [[Substring]] {
    header.listElements.map { $0.parts(separatedBy: ";").map(\.trimmed) }.filter { $0[0].isSame(as: name) }
  }

  /// Returns nil if the offer must be declined: if it has an unknown parameter, a repeated one, or an invalid value
  /// (section 7.1), or asks for a window of 256 bytes, which zlib does not support.
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

  /// Parses a number from 8 to 15, without leading zeros.
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
