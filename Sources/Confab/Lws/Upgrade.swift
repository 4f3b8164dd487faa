internal import CLibwebsockets
internal import Glibc

// From the request for an upgrade to its response. lws makes the response. LWS_CALLBACK_ADD_HEADERS corrects what lws
// cannot know beforehand, when the response is written but not sent.

/// An admitted request for an upgrade, until it is answered within the same call.
struct Upgrade {
  /// Nil until lws has the socket.
  var socket: Socket?
  private let source: RequestSource
  let authorization: Authorization
  let compression: Compression?
  /// Number of offers of the extension that lws asks about before the one that it is to take.
  var offersLeft = 0
  /// Whether lws passes frames with RSV1.
  var isActive = false
  /// The subprotocol that lws takes for the agreed one, though there is none: see ``Subprotocols``.
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

extension Upgrade {
  /// Maximum length of the offers up to the one that lws takes. lws drops the connection if they are longer
  /// (lib/roles/ws/server-ws.c, lws_extension_server_handshake).
  static let maxOffers = 254

  /// Returns which of the extension's offers lws is to take, and where it ends; any offer would do. When lws has taken
  /// an offer with parameters, it stops at the next comma. After one without parameters it goes on, and fails if there
  /// is a second offer. So the result is the first offer with parameters, or the last offer.
  static func takenOffer(in header: String) -> (index: Int, end: Int)? {
    var taken: (index: Int, end: Int)?
    var end = -1
    for element in header.parts(separatedBy: ",") {
      end += element.utf8.count + 1
      let parts = element.parts(separatedBy: ";", maxSplits: 1)
      guard parts[0].trimmed.isSame(as: Compression.name) else { continue }
      taken = ((taken?.index ?? -1) + 1, end)
      if parts.count > 1 { break }
    }
    return taken
  }

  /// Whether lws can process a Sec-WebSocket-Extensions header.
  static func canRead(extensions header: String, isOffered: Bool) -> Bool {
    if header.utf8.count <= maxOffers { return true }
    guard isOffered, Compression(offers: header) != nil, let taken = takenOffer(in: header) else { return false }
    return taken.end <= maxOffers
  }
}

/// The server's subprotocols, as lws has them, and one more. lws drops a client that offers none of them, although it
/// should go on without a subprotocol (RFC 6455, section 4.2.2). So the last one is renamed to what such a client has
/// offered.
@safe final class Subprotocols {
  /// Maximum length of a subprotocol's name in lws's buffer (lib/roles/ws/server-ws.c, lws_process_ws_upgrade).
  static let maxName = 62
  /// Maximum length of the offered subprotocols in lws's buffer.
  static let maxOffers = 126

  /// The name of the last subprotocol, which lws refers to. Freed with this object, after the context.
  let unknown = UnsafeMutablePointer<CChar>.allocate(capacity: maxName + 1)

  init() { rename("not offered") }
  deinit { unsafe unknown.deallocate() }

  /// Sets the name of the last subprotocol, at most ``maxName`` bytes.
  func rename(_ name: String) { unsafe strcpy(unknown, name) }
}

/// The headers of a response that lws is about to send, LWS_CALLBACK_ADD_HEADERS.
@safe struct AnswerHeaders {
  private let arguments: UnsafeMutablePointer<lws_process_html_args>

  init(_ data: UnsafeMutableRawPointer) { unsafe arguments = data.assumingMemoryBound(to: lws_process_html_args.self) }

  /// Replaces the last headers, which must be the whole lines `old`, by `new`. Returns false if they are not, or if
  /// there is too little space.
  func replace(_ old: String, by new: String) -> Bool {
    let (old, new) = (Array(old.utf8), Array(new.utf8))
    let start = unsafe arguments.pointee.p! - old.count
    guard unsafe Int(arguments.pointee.max_len) > new.count, unsafe memcmp(start, old, old.count) == 0 else {
      return false
    }
    unsafe _ = memcpy(start, new, new.count)
    unsafe arguments.pointee.p = start + new.count
    unsafe arguments.pointee.max_len -= Int32(new.count - old.count)
    return true
  }

  /// Takes the whole response, to be sent later, so that lws sends nothing now. Returns nil if the response is not
  /// where lws makes it (lib/roles/ws/server-ws.c, handshake_0405).
  func hold() -> [UInt8]? {
    let end = unsafe arguments.pointee.p!
    let buffer = unsafe end + Int(arguments.pointee.max_len) - Context.serviceBufferSize
    let start = unsafe buffer + AnswerHeaders.offset
    let statusLine = Array("HTTP/1.1 101 ".utf8)
    guard unsafe start + statusLine.count < end, unsafe memcmp(start, statusLine, statusLine.count) == 0 else {
      return nil
    }
    let answer = unsafe Array(UnsafeRawBufferPointer(start: start, count: end - start)) + Array("\r\n".utf8)
    // lws adds an empty line. That makes the response empty, and lws treats it as sent (lib/core-net/output.c).
    unsafe arguments.pointee.p = unsafe start - 2
    return answer
  }

  /// Position in lws's buffer at which it makes the response: MAX_WEBSOCKET_04_KEY_LEN and so on.
  private static let offset = 128 + 256 + Int(shim_PRE)
}
