extension Server {
  /// Calls `body` with each open connection, on the thread of its loop, in a later turn of that loop. Any thread.
  public func forEachConnection(_ body: @escaping @Sendable (Connection) -> Void) {
    for loop in loops {
      loop.execute { for connection in loop.connections.all where connection.state == .open { body(connection) } }
    }
  }

  /// Closes the open connections for which `predicate` is true, and returns their number. Any thread.
  ///
  /// - Parameters:
  ///   - code: a code that may be sent, see ``CloseCode/isSendable``.
  ///   - reason: truncated to 123 bytes.
  ///   - predicate: called for each connection, on the thread of its loop.
  @discardableResult
  public func close(
    _ code: CloseCode = .normal, reason: String = "", where predicate: @escaping @Sendable (Connection) -> Bool
  ) async -> Int {
    await withTaskGroup(of: Int.self) { group in
      for loop in loops {
        group.addTask {
          await withCheckedContinuation { done in
            let isRunning = loop.execute {
              let chosen = loop.connections.all.filter { $0.state == .open && predicate($0) }
              for connection in chosen { connection.close(code, reason: reason) }
              done.resume(returning: chosen.count)
            }
            if !isRunning { done.resume(returning: 0) }
          }
        }
      }
      return await group.reduce(0, +)
    }
  }
}
