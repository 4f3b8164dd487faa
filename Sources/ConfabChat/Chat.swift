public import Confab
internal import Synchronization

/// A group chat: what one says comes back to the sender and goes to everyone else in the room, in one order for all.
///
/// The path of the request is the room; `/` is the lobby. A room is there from the first who enters to the last who
/// leaves. One chat serves all event loops of a server, or of several:
///
/// ```swift
/// let chat = Chat()
/// let server = try Server(Configuration(mounts: [.chatPage])) { loop in chat.handler(on: loop) }
/// ```
public final class Chat: Sendable {
  private let rooms = Mutex<[String: Room]>([:])
  private let maxRooms: Int

  /// What ``init(maxRooms:)`` has unless it is told otherwise: 10,000.
  public static let defaultMaxRooms = 10_000

  /// - Parameter maxRooms: how many rooms there may be at a time; 0 is no limit. Who would open one more gets status
  ///   503.
  public init(maxRooms: Int = Chat.defaultMaxRooms) { self.maxRooms = maxRooms }

  /// The chat's handler for an event loop.
  public func handler(on loop: EventLoop) -> any Handler { PlainProtocol(chat: self) }

  /// The rooms that somebody is in, with their number of people. Any thread.
  public var occupancy: [String: Int] { rooms.withLock { $0.mapValues(\.people) } }

  /// Whether a room is there, or may be opened.
  func hasRoom(for name: String) -> Bool {
    maxRooms == 0 || rooms.withLock { $0.count < maxRooms || $0[name] != nil }
  }

  func enter(_ name: String) -> Room {
    rooms.withLock { rooms in
      let room = rooms[name] ?? Room(name: name)
      rooms[name] = room
      room.people += 1
      return room
    }
  }

  func leave(_ room: Room) {
    rooms.withLock { rooms in
      room.people -= 1
      if room.people == 0 { rooms[room.name] = nil }
    }
  }
}
