internal import Confab
internal import ConfabChat
internal import Synchronization

/// A room of the file. It assigns the offsets.
final class SQLiteRoom: EngineRoom {
  let name: String
  private let engine: SQLiteEngine
  /// Nil when the room is closed.
  private let delegate: Mutex<(any RoomDelegate)?>
  private let currentEpoch = Mutex(RoomEpoch(name: "", run: 0))
  private let lastOffset = Atomic(0)
  /// Number of messages that get their offset when they are written, plus 1 until the room is open. While it is above
  /// 0, new messages also get their offset when they are written.
  private let pending = Atomic(1)

  init(_ name: String, _ delegate: any RoomDelegate, _ engine: SQLiteEngine) {
    (self.name, self.engine) = (name, engine)
    self.delegate = Mutex(delegate)
  }

  func publish(_ draft: () -> Draft, _ quota: PublisherQuota?) -> Position? { engine.write(draft(), self, quota) }

  func close() { delegate.withLock { $0 = nil } }

  // MARK: With the engine's lock

  var hasPending: Bool { pending.load(ordering: .acquiring) > 0 }

  /// Counts a message that gets its offset when it is written.
  func addPending() -> Position? {
    pending.add(1, ordering: .relaxed)
    return nil
  }

  /// Returns the next position. If messages are pending, only the worker calls it.
  func nextPosition() -> Position {
    Position(offset: lastOffset.add(1, ordering: .relaxed).newValue, time: WallClock.milliseconds)
  }

  // MARK: On the queue

  var epoch: RoomEpoch { currentEpoch.withLock { $0 } }

  func opened(_ snapshot: RoomSnapshot, run: Int) {
    currentEpoch.withLock { $0 = RoomEpoch(name: snapshot.epoch, run: run) }
    lastOffset.store(snapshot.lastOffset, ordering: .relaxed)
    pending.subtract(1, ordering: .releasing)
    delegate.withLock { $0 }?.opened(snapshot)
  }

  /// Continues in another epoch.
  func begin(_ epoch: RoomEpoch) {
    currentEpoch.withLock { $0 = epoch }
    delegate.withLock { $0 }?.epochChanged(epoch.name)
  }

  /// Delivers pending messages.
  func published(_ publications: [Publication]) {
    delegate.withLock { $0 }?.published(publications)
    pending.subtract(publications.count, ordering: .releasing)
  }
}
