internal import CLibwebsockets

/// A request to an HTTP server, for a health check.
package enum HttpProbe {
  package struct Reply {
    package let status: Int
    package let body: String
  }

  package struct Failure: Error {
    package let reason: String
  }

  /// Maximum size of a reply. The rest is ignored.
  private static let maxSize = 4096

  /// Requests `path` of the server at `host`, and blocks until the reply has arrived.
  package static func get(_ path: String, host: String, port: Int, within timeout: Duration) throws(Failure) -> Reply {
    let deadline = ContinuousClock.now + timeout
    let connection = try connect(host, port, timeout)
    defer { connection.close() }
    let isUnix = host.begins(with: SocketAddress.unixPrefix)
    let name = isUnix ? "localhost" : host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host
    let request = Array("GET \(path) HTTP/1.1\r\nHost: \(name):\(port)\r\nConnection: close\r\n\r\n".utf8)
    guard connection.send(request.span) == request.count else { throw Failure(reason: "the request cannot be sent") }
    var bytes: [UInt8] = []
    var part = [UInt8](repeating: 0, count: maxSize)
    while bytes.count < maxSize && ContinuousClock.now < deadline {
      let count = unsafe recv(connection.descriptor, &part, part.count, 0)
      if count <= 0 { break }
      bytes += part[..<count]
    }
    guard let reply = reply(bytes) else {
      throw Failure(reason: bytes.isEmpty ? "there is no reply within \(timeout)" : "the reply is not HTTP/1.1")
    }
    return reply
  }

  private static func connect(_ host: String, _ port: Int, _ timeout: Duration) throws(Failure) -> StreamSocket {
    var reason = "the host has no address"
    do {
      for address in try SocketAddress.resolve(host) {
        if let connection = address.with(port: port).connect(within: timeout) { return connection }
        // A connection that takes longer than the socket's timeout fails with EINPROGRESS.
        let number = shim_errno()
        reason = number == EINPROGRESS ? "there is no connection within \(timeout)" : systemMessage(number) ?? reason
      }
    } catch {
      reason = error.message
    }
    throw Failure(reason: reason)
  }

  private static func reply(_ bytes: [UInt8]) -> Reply? {
    guard bytes.starts(with: "HTTP/1.1 ".utf8), let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)),
      let status = Int(String(decoding: bytes[9...].prefix(3), as: UTF8.self))
    else { return nil }
    return Reply(status: status, body: String(decoding: bytes[end.upperBound...], as: UTF8.self))
  }
}
