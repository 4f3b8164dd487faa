internal import CLibwebsockets

// What the gate asks of headers.

extension OpaquePointer {
  func has(_ token: lws_token_indexes) -> Bool { unsafe lws_hdr_total_length(self, token) > 0 }

  /// The bytes of all headers that lws knows, and of the request's line. Headers that it does not know are bounded by
  /// its table alone, see ``Context``.
  var headerSize: Int {
    var size = 0
    for raw in 0..<WSI_TOKEN_COUNT.rawValue {
      size += unsafe Int(max(0, lws_hdr_total_length(self, lws_token_indexes(raw))))
    }
    return size
  }
}

extension String {
  /// Whether it is the base64 of 16 bytes.
  var isHandshakeKey: Bool {
    utf8.count == 24 && utf8.suffix(2).elementsEqual("==".utf8)
      && utf8.dropLast(2).allSatisfy { byte in
        switch byte {
        case 48...57, 65...90, 97...122, UInt8(ascii: "+"), UInt8(ascii: "/"): true
        default: false
        }
      }
  }
}

extension String {
  /// As the path of a URL, RFC 3986, section 3.3.
  var percentEncoded: String {
    let digits = Array("0123456789ABCDEF")
    return utf8.reduce(into: "") { text, byte in
      switch byte {
      case 48...57, 65...90, 97...122: text.unicodeScalars.append(Unicode.Scalar(byte))
      case _ where "/-._~!$&'()*+,;=:@".utf8.contains(byte): text.unicodeScalars.append(Unicode.Scalar(byte))
      default: text += "%\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
      }
    }
  }
}
