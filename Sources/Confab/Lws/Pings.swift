internal import CLibwebsockets

// Pings, which libwebsockets answers by itself: one pong at a time, and it drops the pings that come before that is out
// (lib/roles/ws/ops-ws.c, "DROP PING since one pending"). So reading stops at each ping until its pong is out, and a
// peer gets a pong for every ping, within its rate. Only one that does not take what it is sent, so that the loop polls
// its socket for output in any case, may get a pong for the first of several (RFC 6455, section 5.5.3, allows one).
//
// No callback tells of a ping. What can be seen is that the loop polls the socket for output, which neither the server
// has asked for nor a full socket: lws has a pong to send.

extension Connection {
  /// LWS_CALLBACK_GET_THREAD_ID: the loop polls the socket for something else than before.
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

  /// The close frame is out: the peer's is read.
  private func closeFrameWasSent() {
    owesPong = false
    loop.answered.append(self)
  }

  /// The pong is out.
  func pongWasSent() {
    guard owesPong else { return }
    owesPong = false
    loop.answered.append(self)
  }

  /// Has LWS_CALLBACK_SERVER_WRITEABLE come, once the kernel takes more.
  func requestWritable() {
    isWritableRequested = true
    socket?.requestWritable()
  }

  /// Goes on to read, with what lws has kept of the last read: for that it asks for output itself.
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
