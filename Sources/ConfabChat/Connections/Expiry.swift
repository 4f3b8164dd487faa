internal import Confab

// The expiry of a client's identity. One timer at a time watches a connection. It runs at least once a minute, so that
// those of closed connections do not stay.

extension ChatConnection {
  private static let longestWait = Duration.seconds(60)

  /// Watches the expiry of the client's identity, if it has one, instead of that of an earlier identity.
  func watchExpiry(_ connection: Connection) {
    expiryWatch += 1
    guard let expires = client?.identity.expires else { return }
    watchExpiry(connection, expiryWatch, after: ChatConnection.time(until: expires))
  }

  private func watchExpiry(_ connection: Connection, _ number: Int, after delay: Duration) {
    connection.loop.execute(after: min(delay, ChatConnection.longestWait)) { [weak connection] in
      guard let connection, let state = connection.handlerState as? ChatConnection, state.expiryWatch == number,
        let expires = state.client?.identity.expires
      else { return }
      let left = ChatConnection.time(until: expires)
      if let delay = left > .zero ? left : state.expired(connection) {
        state.watchExpiry(connection, number, after: delay)
      }
    }
  }

  private static func time(until time: Int64) -> Duration {
    let (left, isPast) = time.subtractingReportingOverflow(WallClock.milliseconds)
    return isPast ? .zero : .milliseconds(max(left, 0))
  }
}
