/// A request target (RFC 9112, section 3.2), in origin-form, absolute-form, or asterisk-form.
package struct RequestTarget: Sendable, Equatable {
  /// Host and port, in absolute-form only.
  package let authority: String?
  /// The path, percent-decoded. It begins with `/`, and has no `.`, `..` or empty segments. Bytes that are not UTF-8
  /// stay percent-encoded, in capitals: `/%ff` and `/%25FF` have the same path.
  package let path: String
  /// The query after the `?`, as it was sent.
  package let rawQuery: String?

  init(authority: String?, path: String, rawQuery: String?) {
    (self.authority, self.path, self.rawQuery) = (authority, path, rawQuery)
  }

  init(_ bytes: ArraySlice<UInt8>) throws(RequestError) {
    var rest = bytes
    var authority: String?
    if bytes.elementsEqual("*".utf8) {
      rest = []
    } else if bytes.first != UInt8(ascii: "/") {
      let text = String(decoding: bytes, as: UTF8.self)
      guard let scheme = RequestTarget.schemes.first(where: { bytes.starts(with: $0.utf8, by: same) }) else {
        throw RequestError("the request target is '\(text)'")
      }
      rest = bytes.dropFirst(scheme.utf8.count)
      let end = rest.firstIndex { "/?#".utf8.contains($0) } ?? rest.endIndex
      let name = String(decoding: rest[..<end], as: UTF8.self)
      guard Authority(name) != nil else { throw RequestError("the request target is '\(text)'") }
      authority = name
      rest = rest[end...]
    }
    let mark = rest.firstIndex(of: UInt8(ascii: "?"))
    path = try RequestTarget.decodedPath(rest[..<(mark ?? rest.endIndex)])
    rawQuery = mark.map { String(decoding: rest[($0 + 1)...], as: UTF8.self) }
    self.authority = authority
  }

  private static let schemes = ["http://", "https://", "ws://", "wss://"]

  private static func decodedPath(_ raw: ArraySlice<UInt8>) throws(RequestError) -> String {
    guard let bytes = raw.percentDecoded, !bytes.contains(0) else {
      throw RequestError("the path is '\(String(decoding: raw, as: UTF8.self))'")
    }
    var segments: [ArraySlice<UInt8>] = []
    var endsWithSlash = true
    for segment in bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
      endsWithSlash = segment.isEmpty || segment.elementsEqual(".".utf8) || segment.elementsEqual("..".utf8)
      if segment.elementsEqual("..".utf8) { _ = segments.popLast() }
      if !endsWithSlash { segments.append(segment) }
    }
    var path: [UInt8] = []
    for segment in segments { path += [UInt8(ascii: "/")] + segment }
    if endsWithSlash || path.isEmpty { path.append(UInt8(ascii: "/")) }
    return path.textKeepingInvalidBytesEncoded
  }

  /// The path and query, as a client would send them.
  var encoded: String { path.percentEncoded + (rawQuery.map { "?\($0)" } ?? "") }

  /// The parts of the query, separated by `&` and percent-decoded. Empty parts are left out.
  var query: [String] {
    (rawQuery ?? "").utf8.split(separator: UInt8(ascii: "&")).map { part in
      let spaced = part.map { $0 == UInt8(ascii: "+") ? UInt8(ascii: " ") : $0 }
      return String(decoding: spaced[...].percentDecoded ?? spaced, as: UTF8.self)
    }
  }
}

private func same(_ one: UInt8, _ other: UInt8) -> Bool { one.asciiLowercased == other.asciiLowercased }

extension ArraySlice<UInt8> {
  /// The percent-decoded bytes (RFC 3986, section 2.1); nil if a `%` is not followed by two hexadecimal digits.
  fileprivate var percentDecoded: [UInt8]? {
    guard contains(UInt8(ascii: "%")) else { return Array(self) }
    var decoded: [UInt8] = []
    decoded.reserveCapacity(count)
    var index = startIndex
    while index < endIndex {
      if self[index] != UInt8(ascii: "%") {
        decoded.append(self[index])
        index += 1
        continue
      }
      guard index + 2 < endIndex, let high = self[index + 1].hexValue, let low = self[index + 2].hexValue else {
        return nil
      }
      decoded.append(high << 4 | low)
      index += 3
    }
    return decoded
  }
}

extension [UInt8] {
  /// The text. Bytes that are not UTF-8 become `%` and two capital hexadecimal digits.
  var textKeepingInvalidBytesEncoded: String {
    if let text = String(validating: self, as: UTF8.self) { return text }
    var text: [UInt8] = []
    var index = 0
    while index < count {
      // A UTF-8 character takes 1 to 4 bytes.
      let length = (1...4).first { length in
        index + length <= count && String(validating: self[index..<index + length], as: UTF8.self) != nil
      }
      if let length {
        text += self[index..<index + length]
        index += length
      } else {
        text += self[index].percentEncoded
        index += 1
      }
    }
    return String(decoding: text, as: UTF8.self)
  }
}

extension UInt8 {
  fileprivate var hexValue: UInt8? {
    switch self {
    case 48...57: self - 48
    case 65...70: self - 55
    case 97...102: self - 87
    default: nil
    }
  }

  fileprivate var percentEncoded: [UInt8] {
    let digits = Array("0123456789ABCDEF".utf8)
    return [UInt8(ascii: "%"), digits[Int(self >> 4)], digits[Int(self & 15)]]
  }
}

extension String {
  /// The text, percent-encoded for the path of a URL (RFC 3986, section 3.3).
  var percentEncoded: String { percentEncoded(except: "/-._~!$&'()*+,;=:@") }

  /// The text, percent-encoded for a part of a query, which ends at `&`.
  var queryEncoded: String { percentEncoded(except: "/-._~!$'()*,;=:@?") }

  private func percentEncoded(except plain: String) -> String {
    var encoded: [UInt8] = []
    for byte in utf8 {
      switch byte {
      case 48...57, 65...90, 97...122: encoded.append(byte)
      case _ where plain.utf8.contains(byte): encoded.append(byte)
      default: encoded += byte.percentEncoded
      }
    }
    return String(decoding: encoded, as: UTF8.self)
  }
}
