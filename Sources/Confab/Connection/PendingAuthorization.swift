// Clients that wait for their authorization. The handshake is complete except for the response, which is sent once the
// authorization is decided. Nothing is read from the client meanwhile.

/// The context of a connection while its state is `connecting`.
final class PendingAuthorization {
  let request: RequestHead
  /// The response header section that accepts the handshake, without the application's headers.
  let answer: [UInt8]
  var task: Task<Void, Never>?

  init(_ request: RequestHead, answer: [UInt8]) { (self.request, self.answer) = (request, answer) }
}

extension EventLoop {
  /// Makes a connection wait for the authorization that `ask` returns.
  func open(
    _ socket: Socket, _ request: RequestHead, _ compression: Compression?, _ answer: [UInt8],
    _ ask: @escaping @Sendable () async -> Authorization
  ) {
    let pending = PendingAuthorization(request, answer: answer)
    let connection = add(socket, compression, .connecting, pending)
    handshakes.set(socket, now + configuration.handshakeTimeout.milliseconds)
    if isStopping { return connection.rejectWhileStopping() }
    pending.task = Task {
      var authorization = await ask()
      while case .ask(let ask) = authorization, !Task.isCancelled { authorization = await ask() }
      let decided = authorization
      execute { connection.wasAuthorized(decided) }
    }
  }
}

extension Connection {
  /// Nil unless the connection waits for its authorization.
  private var pending: PendingAuthorization? { state == .connecting ? storedContext as? PendingAuthorization : nil }

  fileprivate func wasAuthorized(_ authorization: Authorization) {
    guard let pending, let socket else { return }
    switch authorization {
    case .accept(let acceptance):
      loop.handshakes.end(socket)
      state = .open
      (storedContext, handlerState) = (acceptance.context, acceptance.handlerState)
      noteActivity()
      // The handler is called before the response is sent: a client with the response must receive everything that is
      // published from then on, on any loop. The handler's own messages are written when the turn ends.
      loop.opened(self, Request(pending.request))
      let answer = pending.answer.dropLast(2) + Array(acceptance.headerLines.utf8) + pending.answer.suffix(2)
      guard socket.write(answer.span) == .taken else {
        // The client has gone. Its socket is not polled, so the connection must be ended here.
        state = .closing
        discardBacklog()
        return socket.kill()
      }
      if reading.isPaused { loop.reads.resume(self) }
    case .reject(let response): reject(response, .rejectedByHandler, "status \(response.status)")
    case .ask: break
    }
  }

  /// Rejects the client with 503, because the authorization has taken too long.
  func wasNotAuthorizedInTime() {
    reject(Response(status: 503, "not authorized in time\n"), .authorizationTimeout, "not authorized in time")
  }

  func rejectWhileStopping() {
    reject(Response(status: 503, "the server is stopping\n"), .rejectedByHandler, "the server is stopping")
  }

  /// Rejects a client that has sent data before the handshake response (RFC 6455, section 4.1). Returns false, which
  /// ends the connection.
  func receivedTooEarly() -> Bool {
    reject(Response(status: 400, "data before the response\n"), .badRequest, "data before the handshake was answered")
    return false
  }

  private func reject(_ response: Response, _ reason: RejectionReason, _ detail: String) {
    guard let pending, let socket else { return }
    loop.admission.rejections.note(reason, socket.peer, path: pending.request.path, detail)
    loop.handshakes.end(socket)
    pending.task?.cancel()
    state = .closing
    socket.answer(response)
    socket.kill()
  }

  /// Whether the handler does not know the connection yet.
  var isAuthorizationPending: Bool { storedContext is PendingAuthorization }

  /// Cancels a pending authorization of a connection that has ended. Returns whether the connection was never opened,
  /// so that its handler does not know it.
  func wasNeverOpened() -> Bool {
    guard let pending = storedContext as? PendingAuthorization else { return false }
    pending.task?.cancel()
    return true
  }
}
