internal import Confab

/// The logs of a room.
struct RoomLogs: Sendable {
  /// Messages for readers of the plain protocol.
  let plain = BroadcastLog()
  /// Events for members of the rich protocol whose request path is the room.
  let rich = BroadcastLog()
  /// Events with the member `room`, for members that have entered the room.
  let entered = BroadcastLog()
  /// The beginning of an event with the member `room`.
  private let prefix: [UInt8]

  init(room: String) {
    var object = JSONWriter()
    object.member("room", room)
    prefix = object.end().dropLast() + [UInt8(ascii: ",")]
  }

  /// Appends an event for the members of the rich protocol.
  func append(_ event: some ServerEvent, to audience: Audience) {
    if audience.hasRich { append(event.json, to: audience) }
  }

  /// Appends an encoded event for the members of the rich protocol.
  func append(_ json: [UInt8], to audience: Audience) {
    if audience.hasRich { rich.append(Message(.text, json.span)) }
    if audience.hasEntered {
      let json = withRoom(json[...])
      entered.append(Message(.text, json.span))
    }
  }

  /// Adds the member `room` to an encoded event, which must have other members.
  func withRoom(_ json: ArraySlice<UInt8>) -> [UInt8] { prefix + json.dropFirst() }
}

/// Kinds of readers that the logs of a room have.
struct Audience {
  let hasPlain: Bool
  /// Whether there are members of the rich protocol.
  let hasRich: Bool
  /// Whether some members of the rich protocol have entered the room, and read ``RoomLogs/entered``.
  let hasEntered: Bool
}
