/// An HTTP request of a client: the one that opens its WebSocket (RFC 6455, section 4.1), or one for a page. It can't
/// outlive the call that it is passed to; ``RequestHead`` can.
public struct Request: ~Escapable {
  /// For C, where a request is an address that is valid only within the call.
  package let source: RequestSource
  fileprivate var head: RequestHead { source.head }

  @_lifetime(immortal)
  package init(_ source: RequestSource) { self.source = source }

  @_lifetime(immortal)
  init(_ head: RequestHead) { self.init(RequestSource(head: head, lws: nil)) }

  /// The path, percent-decoded. It begins with `/`, and has no `.`, `..` or empty segments. Bytes that are not UTF-8
  /// stay percent-encoded.
  public var path: String { head.path }

  /// The parts of the query, `name=value`, separated by `&` and percent-decoded. Empty without a query.
  public var query: [String] { head.query }

  /// The value of the first part of the query with this name, percent-decoded: "" if the part has no value, nil without
  /// such a part.
  public subscript(query name: String) -> String? { head[query: name] }

  /// The value of a header; nil if it was not sent. The name is not case-sensitive. The values of a header that was
  /// sent several times are joined by commas.
  public subscript(header name: String) -> String? { head[header: name] ?? source.lws?[name.lowercased()] }

  /// The web origin of the page that the client runs in (RFC 6454, section 7). Browsers send it; nil without.
  public var origin: String? { head[header: "origin"].flatMap { $0.isEmpty ? nil : $0 } }

  /// The agreed subprotocol: one of ``Configuration/subprotocols``, or nil.
  public var subprotocol: String? { head.subprotocol }

  /// The client's numeric address; empty if the client has gone. Behind one of ``Configuration/trustedProxies``, the
  /// address that the proxy names.
  public var remoteHost: String { head.remoteHost }
  /// The client's port; 0 if the client has gone, or if a proxy does not name the port.
  public var remotePort: Int { head.remotePort }
  /// See ``RequestHead/remoteAddress``.
  package var remoteAddress: AddressRange? { head.remoteAddress }
}

/// The parts of a ``Request``.
package struct RequestSource {
  let head: RequestHead
  /// The headers that lws does not know by name, if lws has parsed the request.
  let lws: LwsHeaders?

  init(head: RequestHead, lws: LwsHeaders?) { (self.head, self.lws) = (head, lws) }

  package init(_ head: RequestHead) { self.init(head: head, lws: nil) }
}

/// A copy of a request that outlives the call. Where TLS is used, it has only the headers that libwebsockets knows by
/// name.
public struct RequestHead: Sendable {
  let http: HttpRequest
  /// See ``Request/subprotocol``.
  public let subprotocol: String?
  private let address: SocketAddress?

  init(_ http: HttpRequest, subprotocol: String?, address: SocketAddress?) {
    (self.http, self.subprotocol, self.address) = (http, subprotocol, address)
  }

  init(_ head: RequestHead, subprotocol: String?) {
    self.init(head.http, subprotocol: subprotocol, address: head.address)
  }

  /// A copy of `request`.
  public init(_ request: borrowing Request) { self = request.head }

  /// See ``Request/path``.
  public var path: String { http.target.path }

  /// See ``Request/query``.
  public var query: [String] { http.target.query }

  /// See ``Request/subscript(query:)``.
  public subscript(query name: String) -> String? { query.value(of: name) }

  /// See ``Request/subscript(header:)``.
  public subscript(header name: String) -> String? { http.fields[name.lowercased()] }

  /// See ``Request/remoteHost``.
  public var remoteHost: String { address?.host ?? "" }
  /// The address of ``remoteHost``; nil if the client has none, or has gone.
  package var remoteAddress: AddressRange? { address.flatMap { $0.isInternet ? AddressRange($0) : nil } }
  /// See ``Request/remotePort``.
  public var remotePort: Int { address?.port ?? 0 }
}

extension [String] {
  /// Returns the value of the first part `name=value`; "" if that is `name` alone, nil if there is none.
  fileprivate func value(of name: String) -> String? {
    for part in self {
      let sides = part.utf8.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
      if sides[0].elementsEqual(name.utf8) { return sides.count > 1 ? String(sides[1]) : "" }
    }
    return nil
  }
}
