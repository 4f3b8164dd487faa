internal import Confab

/// Reference of a connection to its room, from the handshake until the connection closes. A room stays as long as it
/// has references. Any thread.
struct RoomReference: ~Copyable, Sendable {
  let room: ChatRoom
  let loop: EventLoop

  /// Takes over a reference that ``ChatRooms/enter(_:)`` has counted.
  init(counted room: ChatRoom, on loop: EventLoop) { (self.room, self.loop) = (room, loop) }

  deinit { room.rooms?.leave(room, on: loop) }
}
