internal import Confab

/// Connections whose client has messages that the room does not have yet. Their welcome waits for these.
struct WaitingConnections {
  private var all: [(after: Int, connection: Connection, resume: @Sendable () -> Void)] = []

  /// Calls `resume` once on the connection's loop, when the room has the message at an offset.
  mutating func add(_ connection: Connection, until after: Int, _ resume: @escaping @Sendable () -> Void) {
    all.append((after, connection, resume))
  }

  mutating func remove(_ connection: Connection) { all.removeAll { $0.connection === connection } }

  mutating func resume(upTo lastOffset: Int) {
    if all.isEmpty { return }
    all.removeAll { after, connection, resume in
      guard after <= lastOffset else { return false }
      connection.loop.execute(resume)
      return true
    }
  }

  mutating func resumeAll() { resume(upTo: .max) }
}
