internal import CLibwebsockets

// Pings, which libwebsockets answers by itself, one pong at a time. It drops pings that arrive before the pong is sent
// (lib/roles/ws/ops-ws.c, "DROP PING since one pending"). So reading stops at each ping until its pong is sent, and a
// peer gets a pong for every ping, within its rate. The exception is a peer that does not take what it is sent, so that
// the loop polls its socket for output in any case. It may get a pong only for the first of several pings (RFC 6455,
// section 5.5.3, allows one).
//
// No callback reports a ping. The server sees that the loop polls the socket for output, although it has not asked for
// that and the socket is not full: lws has a pong to send.

extension Connection {
  /// Handles LWS_CALLBACK_GET_THREAD_ID: the loop polls the socket for other events than before.
  func pollEventsChanged() {
    guard let socket else { return }
    let couldPollOutput = isPollingOutput
    isPollingOutput = loop.pollsOutput(socket)
    if let ending, ending.side == .server, ending.isFrameSent {
      if couldPollOutput && !isPollingOutput { closeFrameWasSent() }
    }
    guard state == .open, isPollingOutput, !couldPollOutput, !isWritableRequested, !socket.isBlocked else { return }
    owesPong = true
    heard()
    if let meter, let rate = meter.takePing(now: loop.now) { noteSlowed(rate) }
    loop.stopReading(self)
  }

  /// Reads on after the close frame was sent, to receive the peer's.
  private func closeFrameWasSent() {
    owesPong = false
    loop.answered.append(self)
  }

  /// Reads on after the pong was sent.
  func pongWasSent() {
    guard owesPong else { return }
    owesPong = false
    loop.answered.append(self)
  }

  /// Asks for LWS_CALLBACK_SERVER_WRITEABLE, once the kernel takes more.
  func requestWritable() {
    isWritableRequested = true
    socket?.requestWritable()
  }

  /// Resumes reading with what lws has kept of the last read. For that, lws itself polls for output.
  func goOnReading() {
    isPaused = false
    isWritableRequested = true
    socket?.setReading(true)
    isWritableRequested = isPollingOutput
  }
}

extension EventLoop {
  /// Whether the loop polls a socket for output.
  fileprivate func pollsOutput(_ socket: Socket) -> Bool { unsafe shim_polls_output(uv.loop, socket.descriptor) != 0 }
}
