internal import CLibwebsockets

// Requests that lws has parsed. With TLS, lws parses all requests, because it decrypts. HttpConnection.swift parses all
// others.

extension HttpRequest {
  init(_ wsi: OpaquePointer) {
    let token = HttpRequest.methods.first { unsafe wsi.has($0.token) }
    method = token?.method ?? .other
    let version = unsafe wsi.header(WSI_TOKEN_HTTP) ?? ""
    minorVersion = version.isSame(as: "HTTP/1.1") ? 1 : 0
    let path = token.flatMap { unsafe wsi.path($0.token) } ?? "/"
    target = RequestTarget(authority: nil, path: path, rawQuery: unsafe wsi.rawQuery)
    var fields = HeaderFields()
    for (name, token) in headerTokens {
      guard let value = unsafe wsi.header(token) else { continue }
      _ = fields.append(name: name.utf8, value: value.trimmed.utf8)
    }
    self.fields = fields
  }

  private static let methods: [(token: lws_token_indexes, method: Method)] = [
    (WSI_TOKEN_GET_URI, .get), (WSI_TOKEN_HEAD_URI, .head), (WSI_TOKEN_OPTIONS_URI, .options),
  ]
}

/// The headers of a request that lws does not know by name. lws keeps them until the handshake has been answered.
@safe struct LwsHeaders {
  private let wsi: OpaquePointer

  init(_ wsi: OpaquePointer) { unsafe self.wsi = wsi }

  subscript(name: String) -> String? {
    let name = name + ":"
    let length = unsafe lws_hdr_custom_length(wsi, name, Int32(name.utf8.count))
    guard length >= 0 else { return nil }
    return unsafe text(count: Int(length)) { unsafe lws_hdr_custom_copy(wsi, $0, $1, name, Int32(name.utf8.count)) }
  }
}

extension OpaquePointer {
  /// Whether lws has split the path at `&` or `;`, as it would a query. The bytes between the parts are then lost.
  var hasPathInParts: Bool {
    let token = unsafe has(WSI_TOKEN_HEAD_URI) ? WSI_TOKEN_HEAD_URI : WSI_TOKEN_GET_URI
    let length = Int(unsafe lws_hdr_total_length(self, token))
    return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: length + 1) { buffer in
      unsafe lws_hdr_copy_fragment(self, buffer.baseAddress!, Int32(length + 1), token, 1) >= 0
    }
  }

  func has(_ token: lws_token_indexes) -> Bool { unsafe lws_hdr_total_length(self, token) > 0 }

  /// Bytes of all headers that lws knows, and of the request line. Headers that it does not know are bounded by its
  /// table alone, see ``Context``.
  var headerSize: Int {
    var size = 0
    for raw in 0..<WSI_TOKEN_COUNT.rawValue {
      size += unsafe Int(max(0, lws_hdr_total_length(self, lws_token_indexes(raw))))
    }
    return size
  }

  /// Returns a header of `struct lws`; nil if it was not sent. lws keeps headers until the handshake has been answered.
  func header(_ token: lws_token_indexes) -> String? {
    let length = unsafe lws_hdr_total_length(self, token)
    guard length > 0 else { return nil }
    return unsafe text(count: Int(length)) { unsafe lws_hdr_copy(self, $0, $1, token) }
  }

  fileprivate var rawQuery: String? {
    guard unsafe has(WSI_TOKEN_HTTP_URI_ARGS) else { return nil }
    var parts: [String] = []
    let length = Int(unsafe lws_hdr_total_length(self, WSI_TOKEN_HTTP_URI_ARGS))
    for index in 0... {
      var isThere = false
      let part = unsafe text(count: length) {
        let count = unsafe lws_hdr_copy_fragment(self, $0, $1, WSI_TOKEN_HTTP_URI_ARGS, Int32(index))
        isThere = count >= 0
        return count
      }
      if !isThere { break }
      if !part.isEmpty { parts.append(part.queryEncoded) }
    }
    return parts.joined(separator: "&")
  }

  /// The server's subprotocol that lws has chosen.
  var subprotocol: String? {
    let one = unsafe lws_get_protocol(self).pointee
    return unsafe one.id == Context.subprotocolID ? unsafe String(cString: one.name) : nil
  }
}

extension OpaquePointer {
  /// Returns a path, which lws has decoded.
  fileprivate func path(_ token: lws_token_indexes) -> String? {
    let length = unsafe lws_hdr_total_length(self, token)
    guard length > 0 else { return nil }
    return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(length) + 1) { buffer in
      let count = unsafe lws_hdr_copy(self, buffer.baseAddress!, length + 1, token)
      return unsafe buffer.prefix(max(0, Int(count))).map { UInt8(bitPattern: $0) }.textKeepingInvalidBytesEncoded
    }
  }
}

/// Returns the text that `copy` writes to a buffer for `count` bytes and a terminating zero.
private func text(count: Int, _ copy: (UnsafeMutablePointer<CChar>, Int32) -> Int32) -> String {
  unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: count + 1) { buffer in
    let length = unsafe copy(buffer.baseAddress!, Int32(count + 1))
    return unsafe String(
      decoding: UnsafeRawBufferPointer(start: buffer.baseAddress!, count: max(0, Int(length))), as: UTF8.self)
  }
}

/// The headers that lws knows, by their name.
private let headerTokens: [(String, lws_token_indexes)] = {
  var tokens: [(String, lws_token_indexes)] = []
  for raw in 0..<WSI_TOKEN_COUNT.rawValue {
    let token = lws_token_indexes(raw)
    guard let text = unsafe lws_token_to_string(token) else { continue }
    let name = unsafe String(cString: text.withMemoryRebound(to: CChar.self, capacity: 1) { unsafe $0 })
    // Entries that do not end with a colon are methods, or parts of the request line.
    if name.utf8.last == UInt8(ascii: ":") && name.utf8.first != UInt8(ascii: ":") {
      tokens.append((String(name.dropLast()), token))
    }
  }
  return tokens
}()
