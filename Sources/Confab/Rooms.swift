internal import Synchronization

/// Broadcast logs by room name, which is compared by its bytes. A room exists from the first ``enter(_:)`` to the last ``leave(_:)``. Any thread.
public final class Rooms: Sendable {
  /// A named log with at least one member.
  public final class Room: @unchecked Sendable {
    // @unchecked: `people` is used under the lock of the rooms only.
    /// The room's name.
    public let name: String
    /// The room's messages.
    public let log = BroadcastLog()
    fileprivate var people = 0

    fileprivate init(_ name: String) { self.name = name }
  }
  private let rooms = Mutex<[ByteKey: Room]>([:])
  private let limit: Int

  /// - Parameter limit: maximum number of rooms; 0 means no limit.
  public init(limit: Int) { self.limit = limit }

  /// Returns the room with that name, and creates it if necessary; nil at the limit. The room exists until
  /// ``leave(_:)`` has been called as often as this function.
  public func enter(_ name: String) -> Room? {
    rooms.withLock { rooms in
      let key = ByteKey(name)
      guard let room = rooms[key] ?? (limit == 0 || rooms.count < limit ? Room(name) : nil) else { return nil }
      rooms[key] = room
      room.people += 1
      return room
    }
  }

  /// Undoes one call of ``enter(_:)``.
  public func leave(_ room: Room) {
    rooms.withLock { rooms in
      room.people -= 1
      if room.people == 0 { rooms[ByteKey(room.name)] = nil }
    }
  }

  /// The room with that name, if it exists.
  public subscript(name: String) -> Room? { rooms.withLock { $0[ByteKey(name)] } }
}
