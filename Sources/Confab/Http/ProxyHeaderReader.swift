internal import CLibwebsockets
internal import Glibc

// Clients behind a trusted proxy. The PROXY protocol names the client before anything else, TLS included, and
// X-Forwarded-For names it with each request. The socket is read for requests once the PROXY header has arrived.

/// A connection that a trusted proxy has made.
struct Proxied {
  /// The address that the connection is from: the proxy's, or the one in its PROXY header.
  let hop: SocketAddress
  /// The client of the last request.
  var client: SocketAddress
}

extension EventLoop {
  /// Identifies the client of a request. Throws a rejection if X-Forwarded-For cannot be read, or if the client has too
  /// many connections. A trusted proxy's request without X-Forwarded-For, or with an empty one, is the proxy's own: a
  /// health check, for example. It counts for the proxy's address like any client's.
  func identify(
    _ caller: inout Proxied, _ ticket: inout Admission.Ticket, forwardedFor header: String?
  ) throws(Gate.Rejection) {
    guard admission.trustedProxies.contain(caller.hop) else { return }
    let addresses = header ?? ""
    guard let client = addresses.isEmpty ? caller.hop : admission.trustedProxies.client(forwardedFor: addresses) else {
      throw Gate.Rejection(.badRequest, "X-Forwarded-For is '\(addresses)'")
    }
    caller.client = client
    switch admission.exchange(ticket, for: client, isIdentified: true) {
    case .success(let exchanged): ticket = exchanged
    case .failure(let rejection):
      throw Gate.Rejection(rejection.refusal, rejection.detail, headers: Admission.Rejection.headers)
    }
  }
}

/// A connection of a trusted proxy whose PROXY header has not arrived completely.
@safe final class Preface {
  /// The time at which the header is late.
  let deadline: UInt64
  private let descriptor: Int32
  private let peer: SocketAddress
  private let ticket: Admission.Ticket
  private unowned let loop: EventLoop
  private var header = ProxyHeader()
  /// Polls the socket if the header was not there at once.
  private let poll = UnsafeMutablePointer<uv_poll_t>.allocate(capacity: 1)
  private var isPolling = false

  init(
    _ descriptor: Int32, _ peer: SocketAddress, _ ticket: Admission.Ticket, deadline: UInt64, on loop: EventLoop
  ) {
    (self.descriptor, self.peer, self.ticket, self.deadline, self.loop) = (descriptor, peer, ticket, deadline, loop)
  }

  deinit { unsafe poll.deallocate() }

  /// Reads what has arrived of the header, and nothing that follows it.
  func read() {
    while case .needs(let count) = header.state {
      var bytes = [UInt8](repeating: 0, count: count)
      let got = unsafe recv(descriptor, &bytes, count, Int32(MSG_DONTWAIT))
      if got > 0 {
        header.append(bytes[..<got])
      } else if got < 0 && errno == EAGAIN {
        return startPolling()
      } else if got == 0 || errno != EINTR {
        return fail("the connection has ended")
      }
    }
    switch header.state {
    case .needs: break
    case .malformed(let reason): fail(reason)
    case .whole(nil):
      stopPolling()
      loop.adopt(descriptor, peer, isProxied: true, ticket, deadline: deadline)
    case .whole(let client?):
      stopPolling()
      switch loop.admission.exchange(ticket, for: client) {
      case .success(let ticket): loop.adopt(descriptor, client, isProxied: true, ticket, deadline: deadline)
      case .failure(let rejection):
        loop.turnAway(descriptor, client, rejection)
        loop.admission.leave(ticket)
      }
    }
  }

  /// Drops the connection. The client is unknown, so nothing is answered.
  func fail(_ reason: String) {
    loop.admission.refusals.note(.badProxyHeader, peer.endpoint, reason)
    end()
  }

  func end() {
    stopPolling()
    close(descriptor)
    loop.admission.leave(ticket)
  }

  private func startPolling() {
    if isPolling { return }
    isPolling = true
    loop.prefaces[ObjectIdentifier(self)] = self
    unsafe uv_poll_init(loop.uv.loop, poll, descriptor)
    // Retained until the handle has been closed.
    unsafe poll.pointee.data = Unmanaged.passRetained(self).toOpaque()
    unsafe _ = uv_poll_start(poll, Int32(UV_READABLE.rawValue)) { handle, _, _ in
      unsafe Unmanaged<Preface>.fromOpaque(handle!.pointee.data!).takeUnretainedValue().read()
    }
  }

  private func stopPolling() {
    guard isPolling else { return }
    isPolling = false
    loop.prefaces[ObjectIdentifier(self)] = nil
    unsafe closeHandle(poll) { handle in
      unsafe Unmanaged<Preface>.fromOpaque(handle!.pointee.data!).release()
    }
  }
}
