// A loop that stops closes its connections; before that it may send them elsewhere, one after the other.

extension EventLoop {
  /// Drains, if that is to take some time. Then stops listening, closes every connection with 1001 and ends the loop, in
  /// `timeout` at the most. Any thread.
  func stop(drainingOver time: Duration, within timeout: Duration) {
    execute { if time > .zero { self.drain(over: time, within: timeout) } else { self.stop(within: timeout) } }
  }

  private func stop(within timeout: Duration) {
    let deadline = now + timeout.milliseconds
    let isFirst = stopDeadline == nil
    guard isFirst || deadline < stopDeadline! else { return }
    stopDeadline = deadline
    stopTimer.start(after: timeout) { self.finish() }
    guard isFirst else { return }
    if drain == nil { for listener in listeners { listener.stop() } }
    for connection in connections { stop(connection) }
    for connection in httpConnections.values { connection.stop() }
  }

  func stop(_ connection: Connection) {
    if connection.state == .connecting { return connection.refuseWhileStopping() }
    connection.close(.goingAway, reason: "the server is stopping")
  }
}

/// How a loop drains.
struct Drain {
  /// When it is over, in the loop's milliseconds.
  let end: UInt64
  /// How long a client that was told to go may take until it is closed.
  let patience: Duration

  init(over time: Duration, now: UInt64) {
    end = now + time.milliseconds
    patience = min(time / 4, .seconds(2))
  }

  /// The time that is left for clients to be told to go.
  func spread(now: UInt64) -> Duration { max(.milliseconds(end) - .milliseconds(now) - patience, .zero) }
}

extension EventLoop {
  /// Stops listening, and closes the connections with 1001, spread over `time`. Then stops, in `timeout` at the most. When
  /// nobody is left before, it ends.
  private func drain(over time: Duration, within timeout: Duration) {
    guard drain == nil && !isStopping else { return }
    let drain = Drain(over: time, now: now)
    self.drain = drain
    for listener in listeners { listener.drain() }
    // The latest first: so each of these jobs finds its place at once.
    execute(after: time) { self.stop(within: timeout) }
    let (connections, loops) = (connections, configuration.loops)
    for (place, connection) in connections.enumerated().reversed() where connection.state == .open {
      // Loops take turns.
      move(connection, after: drain.spread(now: now) * (place * loops + index) / (connections.count * loops))
    }
  }

  /// Whether it drains, and no loop has anybody left: those who are here still hear what other loops have to tell.
  var isDrained: Bool { drain != nil && admission.isEmpty }

  /// Somebody has connected, who was accepted before.
  func moveIfDraining(_ connection: Connection) {
    if let drain { move(connection, after: drain.spread(now: now) * Double.random(in: 0...1)) }
  }

  private func move(_ connection: Connection, after delay: Duration) {
    guard let drain else { return }
    handler.moving(connection, after: delay)
    execute(after: delay + drain.patience) { self.stop(connection) }
  }
}
