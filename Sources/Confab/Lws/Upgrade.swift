internal import CLibwebsockets
internal import Glibc

// From the request for an upgrade to its answer. lws makes the answer; what it can't be told beforehand is mended in
// LWS_CALLBACK_ADD_HEADERS, when the answer is written and not yet sent.

/// A request for an upgrade that has been admitted, until it is answered within the same call.
struct Upgrade {
  /// Nil until lws has the socket.
  var socket: Socket?
  private let source: RequestSource
  let authorization: Authorization
  let compression: Compression?
  /// How many offers of the extension lws has yet to ask about before the one that it is to take.
  var offersLeft = 0
  /// Whether lws lets frames with RSV1 pass.
  var isActive = false
  /// What lws takes for the subprotocol that was agreed upon, though there is none: see ``Subprotocols``.
  var unknownSubprotocol: String?

  /// Of a request that lws has parsed.
  init(
    _ socket: Socket, _ source: RequestSource, _ authorization: Authorization, extensions: String?,
    unknownSubprotocol: String?
  ) {
    (self.socket, self.source, self.authorization) = (socket, source, authorization)
    self.unknownSubprotocol = unknownSubprotocol
    compression = extensions.flatMap { Compression(offers: $0) }
    offersLeft = extensions.flatMap { Upgrade.takenOffer(in: $0)?.index } ?? 0
  }

  /// Of one that lws is going to read in its canonical form.
  init(_ source: RequestSource, _ authorization: Authorization, _ compression: Compression?) {
    (self.source, self.authorization, self.compression) = (source, authorization, compression)
  }

  func source(agreeingTo subprotocol: String?) -> RequestSource {
    RequestSource(head: RequestHead(source.head, subprotocol: subprotocol), lws: source.lws)
  }
}

extension Upgrade {
  /// lws reads no more than this of the offers before it has taken one (lib/roles/ws/server-ws.c,
  /// lws_extension_server_handshake), and drops the connection.
  static let maxOffers = 254

  /// Which of the offers of the extension lws is to take, any of which is as good, and where that one ends. When lws has
  /// taken one it stops at the next comma, but only behind parameters; otherwise it goes on, and fails when there is a
  /// second one. So: the first with parameters, or the last.
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

  /// Whether lws can cope with a Sec-WebSocket-Extensions header.
  static func canRead(extensions header: String, isOffered: Bool) -> Bool {
    if header.utf8.count <= maxOffers { return true }
    guard isOffered, Compression(offers: header) != nil, let taken = takenOffer(in: header) else { return false }
    return taken.end <= maxOffers
  }
}

/// The subprotocols of a server, as lws has them, and one more. lws drops a client that offers none of them, where it
/// should go on without (RFC 6455, section 4.2.2): so the last one is renamed to what such a client has offered.
@safe final class Subprotocols {
  /// lws copies names to a buffer of this size (lib/roles/ws/server-ws.c, lws_process_ws_upgrade) …
  static let maxName = 62
  /// … and what is offered to one of this size.
  static let maxOffers = 126

  /// The name of the last one, which lws refers to; freed with this object, after the context.
  let unknown = UnsafeMutablePointer<CChar>.allocate(capacity: maxName + 1)

  init() { rename("not offered") }
  deinit { unsafe unknown.deallocate() }

  /// At most ``maxName`` bytes.
  func rename(_ name: String) { unsafe strcpy(unknown, name) }
}

/// The headers of an answer that lws is about to send, LWS_CALLBACK_ADD_HEADERS.
@safe struct AnswerHeaders {
  private let arguments: UnsafeMutablePointer<lws_process_html_args>

  init(_ data: UnsafeMutableRawPointer) { unsafe arguments = data.assumingMemoryBound(to: lws_process_html_args.self) }

  /// Puts `new` in the place of the last headers, which must be `old`: whole lines. False when they are not.
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

  /// Takes the whole answer, for it to be sent later: lws sends nothing now. Nil when it is not where lws makes it
  /// (lib/roles/ws/server-ws.c, handshake_0405).
  func hold() -> [UInt8]? {
    let end = unsafe arguments.pointee.p!
    let buffer = unsafe end + Int(arguments.pointee.max_len) - Context.serviceBufferSize
    let start = unsafe buffer + AnswerHeaders.offset
    let statusLine = Array("HTTP/1.1 101 ".utf8)
    guard unsafe start + statusLine.count < end, unsafe memcmp(start, statusLine, statusLine.count) == 0 else {
      return nil
    }
    let answer = unsafe Array(UnsafeRawBufferPointer(start: start, count: end - start)) + Array("\r\n".utf8)
    // lws adds an empty line, and takes what it has then for sent if that is nothing (lib/core-net/output.c).
    unsafe arguments.pointee.p = unsafe start - 2
    return answer
  }

  /// MAX_WEBSOCKET_04_KEY_LEN and so on: where in its buffer lws makes the answer.
  private static let offset = 128 + 256 + Int(shim_PRE)
}
