internal import Confab

/// State of a connection of the chat. Each protocol has a subclass, which handles the calls for the connection. Loop
/// thread only.
///
/// A class instead of a protocol, because a cast of the state to a protocol takes three times as long, and each
/// message needs one.
class ChatConnection {
  private let reference: RoomReference
  final var room: ChatRoom { reference.room }

  /// Nil without an admission.
  final let admitted: ClientAdmission?
  final var client: AdmittedClient? { admitted?.client }
  /// The restrictions of the client in ``room``.
  final let standing: Standing

  init(_ reference: consuming RoomReference, _ client: AdmittedClient?, _ standing: Standing) {
    self.reference = reference
    self.standing = standing
    admitted = client.map { ClientAdmission($0) }
  }

  /// Returns whether the client has a right.
  final func may(_ right: Rights) -> Bool { admitted?.client.rights.contains(right) ?? true }

  /// Whether the client can be asked for a new token.
  var asksForToken: Bool { false }

  /// Handles a message of the client.
  func received(_ message: Message, from connection: Connection) {}

  /// Handles that the server will close the connection.
  func moving(_ connection: Connection, after delay: Duration) {}

  /// Removes the connection from its rooms.
  func closed(_ connection: Connection) {}

  /// Returns the restrictions of the client in a room; nil if it is not in the room.
  func standing(in room: ChatRoom) -> Standing? { room === self.room ? standing : nil }

  /// Sends an event of a room, if the protocol has events.
  func inform(_ event: any ServerEvent, in room: ChatRoom, _ connection: Connection) {}

  /// Removes a client that must leave a room, and closes its connection.
  func end(in room: ChatRoom, reason: String, _ connection: Connection) {
    connection.close(.notAdmitted, reason: reason)
    // The client leaves the room now, even if it does not answer the close frame.
    closed(connection)
    connection.handlerState = nil
  }

  /// Handles that the client has been admitted again, maybe with other rights.
  func wasRenewed(_ connection: Connection) { standing.forget() }
}
