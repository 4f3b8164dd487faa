internal import Confab

/// State of a chat's connection, which handles its calls by its protocol. Loop thread only.
///
/// A class instead of a protocol, because a cast of the state to a protocol takes three times as long, and each
/// message needs one.
class ChatConnection {
  private let reference: RoomReference
  final var room: ChatRoom { reference.room }

  /// Nil without an admission.
  final var client: AdmittedClient?
  /// Number of the current watch of the client's expiry.
  final var expiryWatch = 0

  init(_ reference: consuming RoomReference, _ client: AdmittedClient?) {
    self.reference = reference
    self.client = client
  }

  /// Whether the client may do this.
  final func may(_ right: Rights) -> Bool { client?.rights.contains(right) ?? true }

  /// Handles that the client's identity has expired. Called again after the time that this returns; nil if the
  /// connection is closed.
  func expired(_ connection: Connection) -> Duration? {
    connection.close(.tokenExpired, reason: "token expired")
    return nil
  }

  /// Handles a message of the client.
  func received(_ message: Message, from connection: Connection) {}

  /// Handles that the server will close the connection.
  func moving(_ connection: Connection, after delay: Duration) {}

  /// Removes the connection from the room.
  func closed(_ connection: Connection) {}
}
