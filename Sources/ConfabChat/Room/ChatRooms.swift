internal import Confab
internal import Synchronization

/// The rooms of a chat, and the memory budget of their histories. Any thread.
///
/// A vacant room stays while the room limit allows. With a shared engine, which has its history too, it stays only for
/// `linger`. So clients that join and leave quickly do not make the engine read the history each time.
///
/// Rooms are closed with the lock held, so an engine never has two rooms of one name.
final class ChatRooms: Sendable {
  let budget: HistoryBudget
  private let options: ChatOptions
  private let engine: any Engine
  private let linger: Duration
  private let state = Mutex(State())

  private struct State {
    var table = RoomTable<Room>()
    /// Time of the next sweep of vacant rooms; nil if there are none.
    var sweepDue: ContinuousClock.Instant?

    /// Closes the room that has been vacant longest, if it was left before `time`; nil if there is none.
    mutating func closeVacant(leftBefore time: ContinuousClock.Instant? = nil) -> Room? {
      let room = table.removeVacant(leftBefore: time)
      room?.close()
      return room
    }
  }

  init(_ options: ChatOptions, _ engine: any Engine, linger: Duration) {
    (self.options, self.engine, self.linger) = (options, engine, linger)
    budget = HistoryBudget(limit: options.maxTotalHistoryBytes)
  }

  /// Closes all rooms, because an engine keeps a room until it is closed.
  deinit {
    while state.withLock({ $0.closeVacant() }) != nil {}
  }

  /// Occupied rooms, with their number of connections.
  var occupancy: [String: Int] { state.withLock { $0.table.occupancy } }

  /// Whether the room exists or may be opened.
  func hasPlace(for name: String) -> Bool { state.withLock { $0.table.hasPlace(for: name, limit: options.maxRooms) } }

  /// Begins a client's visit to a room.
  func visit(_ name: String, on loop: EventLoop) -> Visit { Visit(enter(name), self, loop) }

  /// Adds a visit to a room, which is opened if necessary.
  func enter(_ name: String) -> Room {
    let room = state.withLock { state in
      state.table.makePlace(for: name, limit: options.maxRooms)?.close()
      return state.table.enter(name) {
        Room(name: name, options: options, budget: budget, engine: engine) { [weak self] in self?.makeSpace(for: $0) }
      }
    }
    room.setVacant(false)
    room.keepWithinBudget()
    return room
  }

  /// Removes a visit from a room.
  func leave(_ room: Room) {
    state.withLock { state in
      state.table.leave(room.name) { room in
        guard engine.isShared || room.hasHistory else { return false }
        room.setVacant(true)
        return true
      }?.close()
    }
    room.keepWithinBudget()
  }

  /// Reduces the histories to the budget: first those of vacant rooms, then that of `room`.
  private func makeSpace(for room: Room) {
    while budget.excess > 0, let vacant = state.withLock({ $0.closeVacant() }) { vacant.forget(.max) }
    room.forget(budget.excess)
  }

  /// Schedules the closing of vacant rooms whose history the engine has.
  func sweepLater(on loop: EventLoop) {
    guard engine.isShared else { return }
    state.withLock { state in
      let now = ContinuousClock.now
      // A loop may have stopped before it ran the sweep.
      if let due = state.sweepDue, now < due + .seconds(1) { return }
      state.sweepDue = nil
      if state.table.hasVacancy && loop.execute(after: linger, { self.sweep(on: loop) }) {
        state.sweepDue = now + linger
      }
    }
  }

  private func sweep(on loop: EventLoop) {
    let end = ContinuousClock.now - linger
    state.withLock { state in
      state.sweepDue = nil
      while state.closeVacant(leftBefore: end) != nil {}
    }
    sweepLater(on: loop)
  }
}
