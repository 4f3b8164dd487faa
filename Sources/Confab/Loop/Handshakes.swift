internal import CLibwebsockets
internal import Glibc

// From the TCP connection to the first request, which has a deadline.

extension EventLoop {
  /// Takes over an accepted socket.
  func welcome(_ descriptor: Int32, _ peer: SocketAddress, _ ticket: Admission.Ticket) {
    let deadline = now + configuration.handshakeTimeout.milliseconds
    let isProxy = !admission.trustedProxies.isEmpty && admission.trustedProxies.contain(peer)
    if isProxy && configuration.proxyProtocol {
      Preface(descriptor, peer, ticket, deadline: deadline, on: self).read()
    } else {
      adopt(descriptor, peer, isProxied: isProxy, ticket, deadline: deadline)
    }
  }

  /// Reads a socket for requests, the first of them until `deadline`. Where TLS is used lws reads them, because it
  /// decrypts. `peer` is the address that the kernel reports, or the one in the PROXY header.
  func adopt(
    _ descriptor: Int32, _ peer: SocketAddress, isProxied: Bool, _ ticket: Admission.Ticket, deadline: UInt64
  ) {
    let proxied = isProxied ? Proxied(hop: peer, client: peer) : nil
    guard configuration.tls != nil else {
      let connection = HttpConnection(descriptor, peer, proxied, ticket, deadline: deadline, on: self)
      httpConnections[ObjectIdentifier(connection)] = connection
      return connection.read()
    }
    guard let socket = handOver(descriptor, ticket, proxied) else {
      admission.refusals.note(.notUnderstood, peer.endpoint, "has gone, or was dropped, before its TLS handshake")
      return admission.leave(ticket)
    }
    handshakes[socket] = deadline
  }

  /// Sends a response as far as the socket takes it at once, and closes the socket. With TLS nothing is sent, because
  /// the TLS handshake has not begun.
  func turnAway(_ descriptor: Int32, _ peer: SocketAddress, _ rejection: Admission.Rejection) {
    admission.refusals.note(rejection.refusal, peer.endpoint, rejection.detail)
    defer { close(descriptor) }
    guard configuration.tls == nil else { return }
    let response = Response(
      status: rejection.refusal.status ?? 503, headers: Admission.Rejection.headers, rejection.detail + "\n")
    unsafe response.bytes().withUnsafeBytes {
      unsafe _ = send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
    }
    shutdown(descriptor, Int32(SHUT_WR))
  }

  /// Ends the deadline of a connection: its request header section is complete, and nothing else is pending.
  func requestArrived(_ socket: Socket) { handshakes[socket] = nil }

  /// Sets the deadline for a pending authorization.
  func awaitAuthorization(of socket: Socket) {
    handshakes[socket] = now + configuration.handshakeTimeout.milliseconds
  }

  /// Handles LWS_CALLBACK_WSI_DESTROY: a connection of any kind has ended.
  func left(_ socket: Socket) {
    if socket.ticket.isInternal { return }
    admission.leave(socket.ticket)
    if upgrading?.socket == socket { upgrading = nil }
    if served?.socket == socket { served = nil }
    let client = proxied.isEmpty ? nil : proxied.removeValue(forKey: socket)?.client
    if handshakes.removeValue(forKey: socket) != nil {
      admission.refusals.note(
        .notUnderstood, client?.endpoint ?? "a peer", "has gone, or was dropped, without a whole request")
    }
  }

  /// Ends the connections whose deadline has passed.
  func endLateHandshakes() {
    for preface in prefaces.values where preface.deadline <= now { preface.fail("no PROXY header in time") }
    for (socket, deadline) in handshakes where deadline <= now {
      handshakes[socket] = nil
      if let connection = socket.boundConnection { connection.wasNotAuthorizedInTime() } else { socket.rejectLate() }
    }
    for connection in httpConnections.values where connection.deadline <= now { connection.timedOut() }
  }
}

extension Socket: Hashable {
  static func == (one: Socket, other: Socket) -> Bool { unsafe one.wsi == other.wsi }
  func hash(into hasher: inout Hasher) { unsafe hasher.combine(wsi) }

  /// Answers with status 408, unless the TLS handshake is incomplete, and ends the connection.
  fileprivate func rejectLate() {
    if canAnswer { unsafe LwsGate(wsi).rejectLate() }
    kill()
  }
}
