/// The HTTP request that a client opened its WebSocket with (RFC 6455, section 4.1). It can't outlive the call that it
/// is handed to; ``RequestHead`` can.
public struct Request: ~Escapable {
  /// For C, which has requests by address, and only within the call that they are handed to.
  package let source: RequestSource
  fileprivate var head: RequestHead { source.head }

  @_lifetime(immortal)
  package init(_ source: RequestSource) { self.source = source }

  @_lifetime(immortal)
  init(_ head: RequestHead) { self.init(RequestSource(head: head, lws: nil)) }

  /// The path, percent-decoded, beginning with `/`, without `.`, `..` and empty segments. Bytes that are not UTF-8 stay
  /// percent-encoded.
  public var path: String { head.path }

  /// The parts of the query, `name=value`, which `&` separates; percent-decoded. Empty when there was no query.
  public var query: [String] { head.query }

  /// The value of the first part of the query with this name, percent-decoded: "" without one, nil without such a part.
  public subscript(query name: String) -> String? { head[query: name] }

  /// The value of a header, its name in any case; nil when it was not sent. The values of a header that was sent several
  /// times are joined by commas.
  public subscript(header name: String) -> String? { head[header: name] ?? source.lws?[name.lowercased()] }

  /// The web origin of the page that the client runs in; browsers send it, RFC 6454, section 7.
  public var origin: String? { head[header: "origin"].flatMap { $0.isEmpty ? nil : $0 } }

  /// The subprotocol that was agreed upon: one of ``Configuration/subprotocols``, or nil.
  public var subprotocol: String? { head.subprotocol }

  /// The client's numeric address; empty when it has gone already. Behind one of ``Configuration/trustedProxies`` it is
  /// what that says.
  public var remoteHost: String { head.remoteHost }
  /// The client's port; 0 when a proxy does not tell it.
  public var remotePort: Int { head.remotePort }
}

/// Where a request comes from.
package struct RequestSource {
  let head: RequestHead
  /// The headers that lws has parsed and does not know by name.
  let lws: LwsHeaders?
}

/// What is kept of a request beyond its handshake. Where TLS is spoken, it has the headers that libwebsockets knows by
/// name only.
public struct RequestHead: Sendable {
  let http: HttpRequest
  /// As ``Request/subprotocol``.
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

  /// As ``Request/path``.
  public var path: String { http.target.path }

  /// As ``Request/query``.
  public var query: [String] { http.target.query }

  /// As ``Request/subscript(query:)``.
  public subscript(query name: String) -> String? { query.value(of: name) }

  /// As ``Request/subscript(header:)``.
  public subscript(header name: String) -> String? { http.fields[name.lowercased()] }

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
