internal import CLibwebsockets

// Connections that are not read for a while. TCP then slows the peer down, and nothing is lost.
//
// Connections that wait for a rate, for their log, or for their own backlog are checked from time to time. Those that
// wait for a pong go on once it is sent, and those that their handler has paused go on when it resumes them.

extension EventLoop {
  /// Stops reading from a connection until its log is relieved, and its peer is within its rates.
  func pauseReading(_ connection: Connection) {
    if connection.isPaused { return }
    stopReading(connection)
    putOff(connection)
  }

  /// Stops reading from a connection. The caller is responsible for resuming it.
  func stopReading(_ connection: Connection) {
    connection.isPaused = true
    connection.socket?.setReading(false)
  }

  private func putOff(_ connection: Connection) {
    paused.append(connection)
    if !resumeTimer.isActive {
      resumeTimer.start(after: EventLoop.resumeInterval, every: EventLoop.resumeInterval) { self.isResumeDue = true }
    }
  }

  private static let resumeInterval = Duration.milliseconds(20)

  /// Resumes reading. Called right before a poll, and at no other time. lws on libuv processes what it has kept of a
  /// read before the loop prepares to poll, or else when the poll reports that the socket takes output. Only then are
  /// the connection's pings noticed, see Pings.swift.
  func resumeReading() {
    // Delivering a deferred message may add others.
    let answered = exchange(&self.answered, with: [])
    for connection in answered where !goOn(connection) { putOff(connection) }
    guard isResumeDue else { return }
    isResumeDue = false
    let paused = exchange(&self.paused, with: [])
    for connection in paused {
      if connection.mayBeRead { connection.heard() }
      if !goOn(connection) { self.paused.append(connection) }
    }
    if self.paused.isEmpty { resumeTimer.stop() }
  }

  /// Resumes reading, if that is allowed. Returns false if the connection must be checked again. A connection that its
  /// handler has paused is not checked: its handler resumes it.
  private func goOn(_ connection: Connection) -> Bool {
    guard connection.mayBeRead else { return connection.isHeldBack }
    guard connection.finishPutOff() else { return false }
    guard connection.mayBeRead else { return connection.isHeldBack }
    connection.goOnReading()
    return true
  }
}

extension Connection {
  fileprivate var mayBeRead: Bool {
    if isHeldBack { return false }
    if let fanout, fanout.log.isPressed { return false }
    if state == .open && isFarBehind { return false }
    if state == .open, let meter, meter.readableAt > loop.now { return false }
    return true
  }
}

extension Connection {
  /// Stops reading until ``resumeReading()``: no message is received, so TCP slows the peer down. Events at the peer's
  /// side, its end included, are noticed later. ``Configuration/idleTimeout`` does not count meanwhile. Loop thread
  /// only.
  public func pauseReading() {
    loop.preconditionCurrent()
    guard state == .open, !isHeldBack else { return }
    isHeldBack = true
    if !isPaused { loop.stopReading(self) }
  }

  /// Ends ``pauseReading()``: messages are received from the next turn on. Loop thread only.
  public func resumeReading() {
    loop.preconditionCurrent()
    letGo()
  }

  /// Ends ``pauseReading()``, without checking the thread.
  func letGo() {
    guard isHeldBack else { return }
    isHeldBack = false
    heard()
    // A connection with a pending pong goes on when that is sent.
    if !owesPong { loop.answered.append(self) }
  }
}
