internal import CLibwebsockets

// From TCP connection to the first request, which has to come in time.

extension EventLoop {
  /// Takes over an accepted socket.
  func adopt(_ descriptor: Int32, _ ticket: Admission.Ticket) {
    guard let socket = context.adopt(descriptor, ticket) else { return admission.leave(ticket) }
    handshakes[socket] = now + configuration.handshakeTimeout.milliseconds
  }

  /// The head of a request is complete, and nothing else awaited.
  func requestArrived(_ socket: Socket) { handshakes[socket] = nil }

  /// The same for who has asked for its authorization.
  func awaitAuthorization(of socket: Socket) {
    handshakes[socket] = now + configuration.handshakeTimeout.milliseconds
  }

  /// LWS_CALLBACK_WSI_DESTROY: a connection of any kind is over.
  func left(_ socket: Socket) {
    admission.leave(socket.ticket)
    if upgrading?.socket == socket { upgrading = nil }
    if handshakes.removeValue(forKey: socket) != nil {
      admission.refusals.note(.notUnderstood, "a peer", "has gone, or was dropped, without a whole request")
    }
  }

  /// Answers those whose request has not come in time.
  func endLateHandshakes() {
    for (socket, deadline) in handshakes where deadline <= now {
      handshakes[socket] = nil
      if let connection = socket.boundConnection { connection.wasNotAuthorizedInTime() } else { socket.rejectLate() }
    }
  }
}

extension Socket: Hashable {
  static func == (one: Socket, other: Socket) -> Bool { unsafe one.wsi == other.wsi }
  func hash(into hasher: inout Hasher) { unsafe hasher.combine(wsi) }

  /// Status 408, unless that cannot be said yet, and the end.
  fileprivate func rejectLate() {
    if canAnswer { unsafe Gate(wsi).rejectLate() }
    kill()
  }
}
