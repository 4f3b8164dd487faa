internal import CLibwebsockets

// Connections that are not read for a while: TCP then slows the peer down, and nothing is lost.

extension EventLoop {
  /// Stops reading from a connection until the log that it has joined is relieved, its peer within its rates, and its
  /// ping answered: TCP then slows the peer down.
  func pauseReading(_ connection: Connection) {
    if connection.isPaused { return }
    connection.isPaused = true
    connection.socket?.setReading(false)
    paused.append(connection)
    if !resumeTimer.isActive {
      resumeTimer.start(after: EventLoop.resumeInterval, every: EventLoop.resumeInterval) {}
    }
  }

  private static let resumeInterval = Duration.milliseconds(20)

  /// Right before a poll, and at no other time: lws on libuv goes on with what it has kept of a read before the loop
  /// prepares to poll, or else when the poll says that the socket takes output. Only then are its pings seen, see
  /// Pings.swift.
  func resumeReading() {
    if paused.isEmpty { return resumeTimer.stop() }
    paused.removeAll { connection in
      if let fanout = connection.fanout, fanout.log.isPressed { return false }
      if connection.state == .open {
        if connection.owesPong { return false }
        if let meter = connection.meter, meter.readableAt > now { return false }
      }
      connection.heard()
      connection.resumeReading()
      return true
    }
  }
}
