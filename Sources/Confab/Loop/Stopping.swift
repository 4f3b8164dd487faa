// A loop that stops closes its connections. If it drains first, it moves them to another server one after the other.

extension EventLoop {
  /// Drains, unless `time` is zero. Then stops listening, closes every connection with 1001, and ends the loop within
  /// `timeout`. Any thread.
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

/// The state of a loop that drains.
struct Drain {
  /// When draining ends, in the loop's milliseconds.
  let end: UInt64
  /// Time between the call of ``Handler/moving(_:after:)`` for a client and the close of its connection.
  let patience: Duration

  init(over time: Duration, now: UInt64) {
    end = now + time.milliseconds
    patience = min(time / 4, .seconds(2))
  }

  /// Time that is left for moving clients.
  func spread(now: UInt64) -> Duration { max(.milliseconds(end) - .milliseconds(now) - patience, .zero) }
}

extension EventLoop {
  /// Stops listening, and closes the connections with 1001, spread over `time`. Then stops, within `timeout`. The loop
  /// ends sooner if no connections are left.
  private func drain(over time: Duration, within timeout: Duration) {
    guard drain == nil && !isStopping else { return }
    let drain = Drain(over: time, now: now)
    self.drain = drain
    for listener in listeners { listener.drain() }
    // The latest first, so that each of these jobs finds its place at once.
    execute(after: time) { self.stop(within: timeout) }
    let (connections, loops) = (connections, configuration.loops)
    for (place, connection) in connections.enumerated().reversed() where connection.state == .open {
      // The loops take turns.
      move(connection, after: drain.spread(now: now) * (place * loops + index) / (connections.count * loops))
    }
  }

  /// Whether it drains, and no loop has connections left. Until then, clients still get messages from the other loops.
  var isDrained: Bool { drain != nil && admission.isEmpty }

  /// Moves a connection that opens while the loop drains: it was accepted before.
  func moveIfDraining(_ connection: Connection) {
    if let drain { move(connection, after: drain.spread(now: now) * Double.random(in: 0...1)) }
  }

  private func move(_ connection: Connection, after delay: Duration) {
    guard let drain else { return }
    handler.moving(connection, after: delay)
    execute(after: delay + drain.patience) { self.stop(connection) }
  }
}
