internal import Confab

/// Connections of clients that have messages that the room does not have yet. The welcome is sent when the room has
/// them.
struct WaitingConnections {
  private var all: [(after: Int, connection: Connection, resume: @Sendable () -> Void)] = []

  /// Calls `resume` once on the connection's loop, when the room has the message with the offset `after`.
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
