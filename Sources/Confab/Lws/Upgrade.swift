// From the request for an upgrade to its response. lws writes the response. Before lws sends it,
// LWS_CALLBACK_ADD_HEADERS changes the parts that lws cannot know.

/// An admitted request for an upgrade, until it is answered within the same call.
struct Upgrade {
  /// Nil until lws has the socket.
  var socket: Socket?
  private let source: RequestSource
  let authorization: Authorization
  let compression: Compression?
  /// Number of offers of the extension that lws asks about before the offer that it is to take.
  var offersLeft = 0
  /// Whether lws passes frames with RSV1.
  var isActive = false
  /// The subprotocol that lws takes for agreed on, although the server supports no offered one: see ``Subprotocols``.
  var unknownSubprotocol: String?

  /// For a request that lws has parsed.
  init(
    _ socket: Socket, _ source: RequestSource, _ authorization: Authorization, extensions: String?,
    unknownSubprotocol: String?
  ) {
    (self.socket, self.source, self.authorization) = (socket, source, authorization)
    self.unknownSubprotocol = unknownSubprotocol
    compression = extensions.flatMap { Compression(offers: $0) }
    offersLeft = extensions.flatMap { Upgrade.takenOffer(in: $0)?.index } ?? 0
  }

  /// For a request that lws is going to read in its canonical form.
  init(_ source: RequestSource, _ authorization: Authorization, _ compression: Compression?) {
    (self.source, self.authorization, self.compression) = (source, authorization, compression)
  }

  func source(agreeingTo subprotocol: String?) -> RequestSource {
    RequestSource(head: RequestHead(source.head, subprotocol: subprotocol), lws: source.lws)
  }
}
