internal import CLibwebsockets

// The lists of a handshake that lws has parsed, Sec-WebSocket-Extensions and Sec-WebSocket-Protocol. lws has small
// buffers for them, and drops clients whose offers it does not expect.

extension Upgrade {
  /// Maximum length of the offers up to the one that lws takes. lws drops the connection if they are longer
  /// (lib/roles/ws/server-ws.c, lws_extension_server_handshake).
  static let maxOffers = 254

  /// Returns the index of the extension's offer that lws is to take, and its end. Any offer would do, but lws cannot
  /// take every one: after an offer with parameters, it stops at the next comma. After an offer without parameters it
  /// goes on, and fails if there is a second offer. So the result is the first offer with parameters, or the last
  /// offer.
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

  /// Returns whether lws can process a Sec-WebSocket-Extensions header.
  static func canRead(extensions header: String, isOffered: Bool) -> Bool {
    if header.utf8.count <= maxOffers { return true }
    guard isOffered, Compression(offers: header) != nil, let taken = takenOffer(in: header) else { return false }
    return taken.end <= maxOffers
  }
}

/// The server's subprotocols in lws's table, and one more. lws drops a client that offers none of them, although the
/// handshake should continue without a subprotocol (RFC 6455, section 4.2.2). So the last one is renamed to the
/// client's first offer.
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

/// Checks that lws has room for the lists of a handshake, and can read them.
func checkLists(_ fields: HeaderFields, offersCompression: Bool) throws(Rejection) {
  let extensions = fields["sec-websocket-extensions"] ?? ""
  guard Upgrade.canRead(extensions: extensions, isOffered: offersCompression) else {
    throw Rejection(.headersTooLarge, "more than \(Upgrade.maxOffers) bytes of Sec-WebSocket-Extensions")
  }
  let offers = fields["sec-websocket-protocol"] ?? ""
  guard offers.utf8.count <= Subprotocols.maxOffers else {
    throw Rejection(.headersTooLarge, "more than \(Subprotocols.maxOffers) bytes of Sec-WebSocket-Protocol")
  }
  // lws takes a name that begins with a digit for a number (lib/misc/lws-tokenize.c), and drops the connection.
  for name in offers.listElements where name.utf8.count > Subprotocols.maxName || 48...57 ~= name.utf8.first! {
    throw Rejection(
      .badRequest,
      "Sec-WebSocket-Protocol: '\(name)' has more than \(Subprotocols.maxName) bytes, or begins with a digit")
  }
}
