internal import CLibwebsockets

/// The HTTP request that a client opened its WebSocket with (RFC 6455, section 4.1). It can't outlive the call that it
/// is handed to; what is asked of it is copied.
@safe public struct Request: ~Escapable {
  /// Where it comes from. For C, which has requests by address, and only within the call that they are handed to.
  package let source: RequestSource

  @_lifetime(immortal)
  init(_ wsi: OpaquePointer) { unsafe source = .lws(wsi) }

  @_lifetime(immortal)
  init(_ copy: RequestHead) { source = .copy(copy) }

  @_lifetime(immortal)
  package init(_ source: RequestSource) { self.source = source }

  /// The path, percent-decoded, beginning with `/`. libwebsockets has resolved `.` and `..` in it.
  public var path: String {
    switch source {
    case .lws(let wsi): unsafe wsi.header(WSI_TOKEN_GET_URI) ?? wsi.header(WSI_TOKEN_HEAD_URI) ?? "/"
    case .copy(let copy): copy.path
    }
  }

  /// The parts of the query, `name=value`, which `&` separates; percent-decoded. Empty when there was no query.
  public var query: [String] {
    switch source {
    case .lws(let wsi): unsafe wsi.query
    case .copy(let copy): copy.query
    }
  }

  /// The value of the first part of the query with this name, percent-decoded: "" without one, nil without such a part.
  public subscript(query name: String) -> String? { query.value(of: name) }

  /// The value of a header, its name in any case; nil when it was not sent.
  public subscript(header name: String) -> String? {
    switch source {
    case .lws(let wsi): unsafe wsi.header(named: name.lowercased() + ":")
    case .copy(let copy): copy.headers[name.lowercased() + ":"]
    }
  }

  /// The web origin of the page that the client runs in; browsers send it, RFC 6454, section 7.
  public var origin: String? { self[header: "origin"] }

  /// The subprotocol that was agreed upon: one of ``Configuration/subprotocols``, or nil.
  public var subprotocol: String? {
    switch source {
    case .lws(let wsi): unsafe wsi.subprotocol
    case .copy(let copy): copy.subprotocol
    }
  }

  /// The client's numeric address; empty when it has gone already. Behind one of ``Configuration/trustedProxies`` it is
  /// what that says.
  public var remoteHost: String { address?.host ?? "" }
  /// The client's port; 0 when a proxy does not tell it.
  public var remotePort: Int { address?.port ?? 0 }

  fileprivate var address: SocketAddress? {
    switch source {
    case .lws(let wsi): unsafe Socket(wsi).client
    case .copy(let copy): copy.address
    }
  }

  /// The headers that lws knows by name.
  fileprivate var knownHeaders: [String: String] {
    let wsi: OpaquePointer
    switch source {
    case .lws(let pointer): unsafe wsi = unsafe pointer
    case .copy(let copy): return copy.headers
    }
    var headers: [String: String] = [:]
    for (name, token) in headerTokens { headers[name] = unsafe wsi.header(token) }
    return headers
  }
}

/// Where a request comes from.
@safe package enum RequestSource {
  case lws(OpaquePointer)
  case copy(RequestHead)
}

/// What is kept of a request beyond its handshake.
public struct RequestHead: Sendable {
  /// As ``Request/path``.
  public let path: String
  /// As ``Request/query``.
  public let query: [String]
  /// As ``Request/subprotocol``.
  public let subprotocol: String?
  /// By their name with a colon, in small letters.
  fileprivate let headers: [String: String]
  fileprivate let address: SocketAddress?

  /// A copy of `request`.
  public init(_ request: borrowing Request) {
    (path, query, headers) = (request.path, request.query, request.knownHeaders)
    (subprotocol, address) = (request.subprotocol, request.address)
  }

  /// As ``Request/subscript(query:)``.
  public subscript(query name: String) -> String? { query.value(of: name) }

  /// The value of a header that libwebsockets knows by name, in any case; nil when it was not sent.
  public subscript(header name: String) -> String? { headers[name.lowercased() + ":"] }

  /// As ``Request/remoteHost``.
  public var remoteHost: String { address?.host ?? "" }
  /// As ``Request/remotePort``.
  public var remotePort: Int { address?.port ?? 0 }
}

extension [String] {
  /// The value of the first `name=value`, or `name`, among them.
  fileprivate func value(of name: String) -> String? {
    for part in self {
      let sides = part.utf8.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
      if sides[0].elementsEqual(name.utf8) { return sides.count > 1 ? String(sides[1]) : "" }
    }
    return nil
  }
}

extension OpaquePointer {
  /// A header of `struct lws`; nil when it was not sent. Headers are there until the handshake has been answered.
  func header(_ token: lws_token_indexes) -> String? {
    let length = unsafe lws_hdr_total_length(self, token)
    guard length > 0 else { return nil }
    return unsafe text(count: Int(length)) { unsafe lws_hdr_copy(self, $0, $1, token) }
  }

  /// The same by its name in small letters, with a colon.
  fileprivate func header(named name: String) -> String? {
    if let token = headerTokens[name] { return unsafe header(token) }
    let length = unsafe lws_hdr_custom_length(self, name, Int32(name.utf8.count))
    guard length >= 0 else { return nil }
    return unsafe text(count: Int(length)) {
      unsafe lws_hdr_custom_copy(self, $0, $1, name, Int32(name.utf8.count))
    }
  }

  fileprivate var query: [String] {
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
      if !part.isEmpty { parts.append(part) }
    }
    return parts
  }

  fileprivate var subprotocol: String? {
    let one = unsafe lws_get_protocol(self).pointee
    return unsafe one.id == Context.subprotocolID ? unsafe String(cString: one.name) : nil
  }
}

/// What `copy` writes to a buffer for `count` bytes and a zero.
private func text(count: Int, _ copy: (UnsafeMutablePointer<CChar>, Int32) -> Int32) -> String {
  unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: count + 1) { buffer in
    let length = unsafe copy(buffer.baseAddress!, Int32(count + 1))
    return unsafe String(
      decoding: UnsafeRawBufferPointer(start: buffer.baseAddress!, count: max(0, Int(length))), as: UTF8.self)
  }
}

/// The headers that lws knows, by their name with a colon.
private let headerTokens: [String: lws_token_indexes] = {
  var tokens: [String: lws_token_indexes] = [:]
  for raw in 0..<WSI_TOKEN_COUNT.rawValue {
    let token = lws_token_indexes(raw)
    guard let name = unsafe lws_token_to_string(token) else { continue }
    tokens[unsafe String(cString: name.withMemoryRebound(to: CChar.self, capacity: 1) { unsafe $0 })] = token
  }
  return tokens
}()
