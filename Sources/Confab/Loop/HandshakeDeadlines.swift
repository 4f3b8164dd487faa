/// The deadlines of connections that lws reads, until each has sent a whole request, and while its authorization is
/// pending.
struct HandshakeDeadlines {
  private var deadlines: [Socket: UInt64] = [:]

  /// Sets a deadline, in milliseconds of the loop's clock.
  mutating func set(_ socket: Socket, _ deadline: UInt64) { deadlines[socket] = deadline }

  /// Ends the deadline of a connection. Returns whether it had one.
  @discardableResult
  mutating func end(_ socket: Socket) -> Bool { deadlines.removeValue(forKey: socket) != nil }

  /// Ends the deadlines that have passed, and returns their connections.
  mutating func takePassed(now: UInt64) -> [Socket] {
    let passed = deadlines.filter { $0.value <= now }.map(\.key)
    for socket in passed { deadlines[socket] = nil }
    return passed
  }
}
