// A loop that stops closes its connections. If it drains first, it moves them to another server one after the other.

/// The progress of a loop that stops.
final class Stopping {
  /// The drain in progress.
  private(set) var drain: Drain?
  /// The latest time at which the loop ends, in its milliseconds. Nil unless it is stopping.
  private var deadline: UInt64?
  /// Whether the remaining connections are being dropped.
  private(set) var isTearingDown = false
  private let timer: UvTimer

  init(on uv: UvLoop) { timer = UvTimer(on: uv) }

  var isDraining: Bool { drain != nil }
  var hasDeadline: Bool { deadline != nil }

  fileprivate func begin(_ drain: Drain) { self.drain = drain }

  /// Calls `body` at the deadline, unless an earlier deadline is set. Returns whether this is the first deadline.
  fileprivate func begin(within timeout: Duration, now: UInt64, _ body: @escaping () -> Void) -> Bool {
    let new = now + timeout.milliseconds
    let isFirst = deadline == nil
    guard isFirst || new < deadline! else { return false }
    deadline = new
    timer.start(after: timeout, body)
    return isFirst
  }

  func beginTearDown() { isTearingDown = true }

  func end() { timer.close() }
}

extension EventLoop {
  var isStopping: Bool { stopping.hasDeadline }

  /// Drains, unless `time` is zero. Then stops listening, closes every connection with 1001, and ends the loop within
  /// `timeout`. Any thread.
  func stop(drainingOver time: Duration, within timeout: Duration) {
    execute { if time > .zero { self.drain(over: time, within: timeout) } else { self.stop(within: timeout) } }
  }

  private func stop(within timeout: Duration) {
    guard stopping.begin(within: timeout, now: now, { [unowned self] in finish() }) else { return }
    if !stopping.isDraining { for listener in listeners { listener.stop() } }
    for connection in connections.all { stop(connection) }
    for connection in httpConnections.all { connection.stop() }
  }

  private func stop(_ connection: Connection) {
    if connection.state == .connecting { return connection.rejectWhileStopping() }
    connection.close(.goingAway, reason: "the server is stopping")
  }

  /// Stops, or moves, a connection that was accepted before the loop began to stop or drain, and has opened since.
  func stopIfStopping(_ connection: Connection) {
    if isStopping { return stop(connection) }
    if let drain = stopping.drain { move(connection, after: drain.spread(now: now) * Double.random(in: 0...1)) }
  }
}

/// The state of a loop that drains.
struct Drain {
  /// Time at which draining ends, in the loop's milliseconds.
  let end: UInt64
  /// Time between the call of ``Handler/moving(_:after:)`` for a client and the close of its connection.
  let patience: Duration

  init(over time: Duration, now: UInt64) {
    end = now + time.milliseconds
    patience = min(time / 4, .seconds(2))
  }

  /// Returns the time that is left for moving clients.
  func spread(now: UInt64) -> Duration { max(.milliseconds(end) - .milliseconds(now) - patience, .zero) }
}

extension EventLoop {
  /// Stops listening, and closes the connections with 1001, spread over `time`. Then stops, within `timeout`. The loop
  /// ends sooner if no connections are left.
  private func drain(over time: Duration, within timeout: Duration) {
    guard !stopping.isDraining && !isStopping else { return }
    let drain = Drain(over: time, now: now)
    stopping.begin(drain)
    for listener in listeners { listener.drain() }
    execute(after: time) { self.stop(within: timeout) }
    let (connections, loops) = (connections.all, configuration.loops)
    for (number, connection) in connections.enumerated() where connection.state == .open {
      // The loops take turns.
      move(connection, after: drain.spread(now: now) * (number * loops + index) / (connections.count * loops))
    }
  }

  /// Whether the loop drains, and no loop has connections left. Until then, clients still get messages from other
  /// loops.
  var isDrained: Bool { stopping.isDraining && admission.isEmpty }

  private func move(_ connection: Connection, after delay: Duration) {
    guard let drain = stopping.drain else { return }
    handler.moving(connection, after: delay)
    execute(after: delay + drain.patience) { self.stop(connection) }
  }
}
