// From the accepted TCP connection to the first request, which has a deadline.

extension EventLoop {
  /// Takes over an accepted socket.
  func accept(_ socket: StreamSocket, _ peer: SocketAddress, _ ticket: Admission.Ticket) {
    let deadline = now + configuration.handshakeTimeout.milliseconds
    let isProxy = !admission.trustedProxies.isEmpty && admission.trustedProxies.contain(peer)
    if isProxy && configuration.proxyProtocol {
      ProxyHeaderReader(socket, peer, ticket, deadline: deadline, on: self).read()
    } else {
      readRequests(socket, peer, isProxied: isProxy, ticket, deadline: deadline)
    }
  }

  /// Reads requests from a socket. The first request must arrive before `deadline`. With TLS, lws reads the requests,
  /// because it decrypts. `peer` is the address that the kernel or the PROXY header reports.
  func readRequests(
    _ socket: StreamSocket, _ peer: SocketAddress, isProxied: Bool, _ ticket: Admission.Ticket, deadline: UInt64
  ) {
    let proxied = isProxied ? Proxied(hop: peer, client: peer) : nil
    guard configuration.tls != nil else {
      let connection = HttpConnection(socket, peer, proxied, ticket, deadline: deadline, on: self)
      httpConnections.insert(connection)
      return connection.read()
    }
    guard let socket = handOver(socket, ticket, proxied) else {
      admission.rejections.note(.notUnderstood, peer.endpoint, "has gone, or was dropped, before its TLS handshake")
      return admission.leave(ticket)
    }
    handshakes.set(socket, deadline)
  }

  /// Sends a response as far as the socket takes it at once, and closes the socket. With TLS nothing is sent, because
  /// the TLS handshake has not begun.
  func reject(_ socket: StreamSocket, _ peer: SocketAddress, _ rejection: Rejection) {
    let response = reject(rejection, peer, path: nil)
    if configuration.tls == nil {
      _ = socket.send(response.bytes().span)
      socket.endWriting()
    }
    socket.close()
  }

  /// Ends the connections whose deadline has passed.
  func endLateHandshakes() {
    for reader in proxyHeaderReaders.all where reader.deadline <= now { reader.fail("no PROXY header in time") }
    for socket in handshakes.takePassed(now: now) {
      if let connection = socket.boundConnection { connection.wasNotAuthorizedInTime() } else { socket.rejectLate() }
    }
    for connection in httpConnections.all where connection.deadline.time <= now { connection.timedOut() }
  }

  /// Handles LWS_CALLBACK_WSI_DESTROY: a connection of any kind has ended.
  func ended(_ socket: Socket) {
    if socket.ticket.isInternal { return }
    admission.leave(socket.ticket)
    context.exchange.forget(socket)
    let client = proxied.remove(socket)
    if handshakes.end(socket) {
      admission.rejections.note(
        .notUnderstood, client?.endpoint ?? "a peer", "has gone, or was dropped, without a whole request")
    }
  }
}
