internal import CLibwebsockets

// Connections that are not read for a while: TCP then slows the peer down, and nothing is lost.
//
// Those that wait for a rate, for their log, or until they have read more, are looked at now and then; those that wait for a pong when it is out;
// those that their handler keeps waiting when it says so.

extension EventLoop {
  /// Stops reading from a connection until the log that it has joined is relieved, and its peer within its rates.
  func pauseReading(_ connection: Connection) {
    if connection.isPaused { return }
    stopReading(connection)
    putOff(connection)
  }

  /// The same until its ping is answered.
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

  /// Right before a poll, and at no other time: lws on libuv goes on with what it has kept of a read before the loop
  /// prepares to poll, or else when the poll says that the socket takes output. Only then are its pings seen, see
  /// Pings.swift.
  func resumeReading() {
    // Handing on a message that was put off may add others.
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

  /// Reads on, if that may be. False if it is to be looked at again; one that is held back comes when it is let go.
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
  /// Stops reading until ``resumeReading()``: no message is received, so TCP slows the peer down, and what has gone on at
  /// its side, its end included, is noticed later. ``Configuration/idleTimeout`` does not count meanwhile. Loop thread only.
  public func pauseReading() {
    loop.preconditionCurrent()
    guard state == .open, !isHeldBack else { return }
    isHeldBack = true
    if !isPaused { loop.stopReading(self) }
  }

  /// Ends what ``pauseReading()`` began: messages are received from the next turn on. Loop thread only.
  public func resumeReading() {
    loop.preconditionCurrent()
    letGo()
  }

  /// The same without a check.
  func letGo() {
    guard isHeldBack else { return }
    isHeldBack = false
    heard()
    // Otherwise it is when the pong is out.
    if !owesPong { loop.answered.append(self) }
  }
}
