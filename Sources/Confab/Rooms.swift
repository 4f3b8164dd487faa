internal import Synchronization

/// Logs by name: a room is there from the first who enters it to the last who leaves. Any thread.
public final class Rooms: Sendable {
  /// A log that somebody has entered.
  public final class Room: @unchecked Sendable {
    // @unchecked: `people` is used under the lock of the rooms only.
    /// What it is called.
    public let name: String
    /// What is said in it.
    public let log = BroadcastLog()
    fileprivate var people = 0

    fileprivate init(_ name: String) { self.name = name }
  }
  private let rooms = Mutex<[String: Room]>([:])
  private let limit: Int

  /// - Parameter limit: how many rooms there may be at a time; 0 is no limit.
  public init(limit: Int) { self.limit = limit }

  /// The room of that name, which is made if need be, until ``leave(_:)`` has been called as often; nil if there are too
  /// many.
  public func enter(_ name: String) -> Room? {
    rooms.withLock { rooms in
      guard let room = rooms[name] ?? (limit == 0 || rooms.count < limit ? Room(name) : nil) else { return nil }
      rooms[name] = room
      room.people += 1
      return room
    }
  }

  /// Ends what ``enter(_:)`` began, once.
  public func leave(_ room: Room) {
    rooms.withLock { rooms in
      room.people -= 1
      if room.people == 0 { rooms[room.name] = nil }
    }
  }

  /// The room of that name, if somebody is in it.
  public subscript(name: String) -> Room? { rooms.withLock { $0[name] } }
}
