internal import Confab
internal import Synchronization

/// The rooms of a chat, and the memory budget of their histories. Any thread.
///
/// A vacant room stays in memory while the room limit allows. A shared engine stores the history as well; the room then
/// stays for at most `vacantRoomTimeout`. During this time, returning clients do not make the engine read the history
/// again.
///
/// Rooms are closed with the lock held, so an engine never has two rooms of one name.
final class ChatRooms: Sendable {
  let budget: HistoryBudget
  private let options: ChatOptions
  private let engine: any Engine
  private let vacantRoomTimeout: Duration
  private let state = Mutex(State())

  private struct State {
    var table = RoomTable<ChatRoom>()
    /// Time of the next sweep of vacant rooms; nil if there are none.
    var sweepDue: ContinuousClock.Instant?

    /// Closes and returns the room that has been vacant longest; nil if no room became vacant before `time`.
    mutating func closeVacant(vacantBefore time: ContinuousClock.Instant? = nil) -> ChatRoom? {
      let room = table.removeVacant(vacantBefore: time)
      room?.close()
      return room
    }
  }

  init(_ options: ChatOptions, _ engine: any Engine, vacantRoomTimeout: Duration) {
    (self.options, self.engine, self.vacantRoomTimeout) = (options, engine, vacantRoomTimeout)
    budget = HistoryBudget(limit: options.maxTotalHistoryBytes)
  }

  /// Closes all rooms, because an engine keeps a room until it is closed.
  deinit { for room in state.withLock(\.table.rooms) { room.close() } }

  /// Occupied rooms, with their number of connections.
  var occupancy: [String: Int] { state.withLock { $0.table.occupancy } }

  /// Returns whether the room exists or may be opened. The last quarter of the rooms is reserved for the paths of
  /// requests, because a few connections could enter all rooms.
  func hasCapacity(for name: String, isEntered: Bool = false) -> Bool {
    let reserved = isEntered ? options.maxRooms / 4 : 0
    return state.withLock { $0.table.hasCapacity(for: name, limit: options.maxRooms, reserved: reserved) }
  }

  /// Returns a connection's reference to a room, which is opened if necessary.
  func reference(to name: String, on loop: EventLoop) -> RoomReference {
    RoomReference(counted: enter(name), on: loop)
  }

  /// Counts a reference to a room, which is opened if necessary.
  func enter(_ name: String) -> ChatRoom {
    let room = state.withLock { state in
      state.table.evict(for: name, limit: options.maxRooms)?.close()
      return state.table.enter(name) {
        ChatRoom(name: name, options: options, budget: budget, engine: engine, rooms: self)
      }
    }
    room.setVacant(false)
    room.keepWithinBudget()
    return room
  }

  /// Releases a reference to a room.
  func leave(_ room: ChatRoom) {
    state.withLock { state in
      state.table.leave(room.name) { room in
        guard engine.isShared || room.hasHistory else { return false }
        room.setVacant(true)
        return true
      }?.close()
    }
    room.keepWithinBudget()
  }

  /// Releases a reference to a room, and schedules the closing of vacant rooms on the loop.
  func leave(_ room: ChatRoom, on loop: EventLoop) {
    leave(room)
    sweepLater(on: loop)
  }

  /// Releases the program's reference to a room, and schedules the closing of vacant rooms.
  func leaveLater(_ room: ChatRoom) {
    leave(room)
    guard engine.isShared else { return }
    Task { [weak self, vacantRoomTimeout] in
      try? await Task.sleep(for: vacantRoomTimeout)
      self?.closeVacant()
    }
  }

  /// Returns the room with this name, if it exists; all rooms if the name is nil.
  func rooms(named name: String?) -> [ChatRoom] {
    state.withLock { state in name.map { name in state.table.room(name).map { [$0] } ?? [] } ?? state.table.rooms }
  }

  /// Returns an existing room, without counting a reference.
  func room(_ name: String) -> ChatRoom? { state.withLock { $0.table.room(name) } }

  /// Frees memory until the histories are within the budget: first closes vacant rooms, then drops messages of `room`.
  func makeSpace(for room: ChatRoom) {
    while budget.excess > 0, let vacant = state.withLock({ $0.closeVacant() }) { vacant.drop(.max) }
    room.drop(budget.excess)
  }

  /// Schedules the closing of vacant rooms whose history the engine has.
  private func sweepLater(on loop: EventLoop) {
    guard engine.isShared else { return }
    state.withLock { state in
      let now = ContinuousClock.now
      // A loop may have stopped before it ran the sweep.
      if let due = state.sweepDue, now < due + .seconds(1) { return }
      state.sweepDue = nil
      if state.table.hasVacancy && loop.execute(after: vacantRoomTimeout, { self.sweep(on: loop) }) {
        state.sweepDue = now + vacantRoomTimeout
      }
    }
  }

  private func sweep(on loop: EventLoop) {
    state.withLock { $0.sweepDue = nil }
    closeVacant()
    sweepLater(on: loop)
  }

  private func closeVacant() {
    let end = ContinuousClock.now - vacantRoomTimeout
    state.withLock { state in while state.closeVacant(vacantBefore: end) != nil {} }
  }
}
