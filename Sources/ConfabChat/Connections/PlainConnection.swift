internal import Confab

/// A connection of the plain protocol, see ``PlainProtocol``.
final class PlainConnection: ChatConnection {
  /// Nil if the engine is not shared.
  private let quota: PublisherQuota?

  /// Adds the connection to its room.
  init(
    _ connection: Connection, in reference: consuming RoomReference, _ client: AdmittedClient?, _ standing: Standing,
    _ quota: PublisherQuota?
  ) {
    self.quota = quota
    super.init(reference, client, standing)
    room.add(connection)
    checkAfterJoining(room, standing, connection)
  }

  override func received(_ message: Message, from connection: Connection) {
    guard may(.say) else { return connection.close(.notAdmitted, reason: "sending is not allowed") }
    if let quota, quota.isExhausted {
      return connection.close(.tryAgainLater, reason: "too many messages are waiting")
    }
    // The message is dropped without a notice, because the protocol has no errors, and a muted client may still read.
    if standing.mute(of: client) != nil { return }
    room.publish(message, quota)
  }

  override func closed(_ connection: Connection) { room.remove(connection) }
}
