internal import Confab

/// The logs of a room.
struct RoomLogs: Sendable {
  /// Messages for readers of the plain protocol.
  let plain = BroadcastLog()
  /// Events for members of the rich protocol.
  let rich = BroadcastLog()
}

/// Which logs of a room have readers.
struct Audience {
  let hasPlain: Bool
  let hasRich: Bool
}
