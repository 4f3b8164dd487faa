internal import Confab
internal import Synchronization

/// The rooms of a chat, and the memory that their histories take together. Any thread.
///
/// One that everyone has left stays while there is a place for it. If an engine has its history, too, that is for a
/// while only, `linger`: so who comes and goes, as fast as may be, does not have it read again each time.
///
/// A room is closed while the lock is held, so an engine never has two rooms of one name.
final class ChatRooms: Sendable {
  let budget: HistoryBudget
  private let options: ChatOptions
  private let engine: any Engine
  private let linger: Duration
  private let state = Mutex(State())

  private struct State {
    var table = RoomTable<Room>()
    /// When rooms that have been left are looked through; nil if there are none.
    var sweepDue: ContinuousClock.Instant?

    /// Gives up the room that was left longest ago, if that was before `time`; nil if there is none such.
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

  /// An engine keeps a room until it is closed.
  deinit {
    while state.withLock({ $0.closeVacant() }) != nil {}
  }

  /// Those that somebody is in, with their number of connections.
  var occupancy: [String: Int] { state.withLock { $0.table.occupancy } }

  /// Whether a room is there, or may be opened.
  func hasPlace(for name: String) -> Bool { state.withLock { $0.table.hasPlace(for: name, limit: options.maxRooms) } }

  /// Begins a client's visit to a room.
  func visit(_ name: String, on loop: EventLoop) -> Visit { Visit(enter(name), self, loop) }

  /// Counts somebody in.
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

  /// Counts somebody out.
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

  /// Has the histories forget what is too much: those that nobody needs, then that of `room`.
  private func makeSpace(for room: Room) {
    while budget.excess > 0, let vacant = state.withLock({ $0.closeVacant() }) { vacant.forget(.max) }
    room.forget(budget.excess)
  }

  /// Has rooms closed, by and by, that have been left and that the engine has the history of.
  func sweepLater(on loop: EventLoop) {
    guard engine.isShared else { return }
    state.withLock { state in
      let now = ContinuousClock.now
      // A loop may have ended before it did what it was to do.
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
