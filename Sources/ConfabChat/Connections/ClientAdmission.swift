internal import Confab

/// The admission of one client, whose identity may expire and be renewed. Loop thread only.
final class ClientAdmission {
  fileprivate(set) var client: AdmittedClient
  /// Number of the current timer for the expiry. Timers with other numbers do nothing.
  fileprivate var watch = 0
  /// The decision about a new token; nil if none is pending.
  private var renewal: Task<Void, Never>?
  /// Whether the client has been asked for a new token.
  fileprivate var isAsked = false

  init(_ client: AdmittedClient) { self.client = client }

  /// Cancels the pending decision for a closed connection.
  func end() { renewal?.cancel() }

  // MARK: Renewal

  /// Decides about a new token, now or later. Then calls `done`: with nil if the client has been admitted again,
  /// otherwise with an error.
  func renew(with token: String, _ connection: Connection, _ done: @escaping @Sendable (AdmissionError?) -> Void) {
    let decision = client.admission.decision(client.request, token, on: connection.loop)
    guard case .ask = decision else { return decided(decision, connection, done) }
    renewal = Task { [weak connection, loop = connection.loop] in
      let decision = await decision.made()
      loop.execute { [weak connection] in
        guard let connection, let admitted = (connection.handlerState as? ChatConnection)?.admitted else { return }
        admitted.renewal = nil
        admitted.decided(decision, connection, done)
      }
    }
  }

  /// Whether a decision is pending.
  var isRenewing: Bool { renewal != nil }

  private func decided(
    _ decision: Admission.Decision, _ connection: Connection, _ done: (AdmissionError?) -> Void
  ) {
    guard let state = connection.handlerState as? ChatConnection else { return }
    do throws(AdmissionError) {
      client = try client.renewed(try decision.identity, state.room.options)
    } catch {
      return done(error)
    }
    isAsked = false
    state.watchExpiry(connection)
    done(nil)
    state.wasRenewed(connection)
  }
}

// MARK: Expiry

// Each connection has one timer for the expiry. The timer fires at least once a minute, so that it ends soon after its
// connection is closed, and notices changes of the system's clock.

extension ChatConnection {
  private static let longestWait = Duration.seconds(60)

  /// Starts the timer for the expiry of the client's identity, if the identity expires. The timer of an earlier
  /// identity stops.
  func watchExpiry(_ connection: Connection) {
    guard let admitted else { return }
    admitted.watch += 1
    guard let expires = admitted.client.identity.expires else { return }
    watchExpiry(connection, admitted.watch, after: ChatConnection.time(until: expires))
  }

  private func watchExpiry(_ connection: Connection, _ number: Int, after delay: Duration) {
    connection.loop.execute(after: min(delay, ChatConnection.longestWait)) { [weak connection] in
      guard let connection, let state = connection.handlerState as? ChatConnection, let admitted = state.admitted,
        admitted.watch == number, let expires = admitted.client.identity.expires
      else { return }
      let left = ChatConnection.time(until: expires)
      if left > .zero { return state.watchExpiry(connection, number, after: left) }
      if state.asksForToken, !admitted.isAsked, admitted.client.admission.grace > .zero {
        admitted.isAsked = true
        let grace = admitted.client.admission.grace
        connection.send(TokenEvent(grace: grace))
        return state.watchGrace(connection, number, after: grace)
      }
      connection.close(.tokenExpired, reason: "token expired")
    }
  }

  private func watchGrace(_ connection: Connection, _ number: Int, after grace: Duration) {
    connection.loop.execute(after: grace) { [weak connection] in
      guard let connection, let state = connection.handlerState as? ChatConnection, state.admitted?.watch == number
      else { return }
      connection.close(.tokenExpired, reason: "token expired")
    }
  }

  private static func time(until time: Int64) -> Duration {
    let (left, isPast) = time.subtractingReportingOverflow(WallClock.milliseconds)
    return isPast ? .zero : .milliseconds(max(left, 0))
  }
}
