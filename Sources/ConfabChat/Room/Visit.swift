internal import Confab

/// A client's visit to a room, from its handshake until the connection closes. A room stays as long as it has visits.
/// Any thread.
final class Visit: Sendable {
  let room: Room
  private let rooms: ChatRooms
  private let loop: EventLoop

  init(_ room: Room, _ rooms: ChatRooms, _ loop: EventLoop) { (self.room, self.rooms, self.loop) = (room, rooms, loop) }

  deinit {
    room.stopWaiting(ObjectIdentifier(self))
    rooms.leave(room)
    rooms.sweepLater(on: loop)
  }

  /// Calls `action` once, on any thread, when the room is open or the visit stops waiting for that.
  func whenOpen(_ action: @escaping @Sendable () -> Void) { room.whenOpen(ObjectIdentifier(self), action) }

  /// Waits until the room is open, the task is cancelled, or `patience` is over.
  func waitUntilOpen(within patience: Duration) async {
    loop.execute(after: patience) { [weak self] in self?.stopWaiting() }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        whenOpen { continuation.resume() }
        // The task may have been cancelled before the wait was registered.
        if Task.isCancelled { stopWaiting() }
      }
    } onCancel: {
      stopWaiting()
    }
  }

  private func stopWaiting() { room.stopWaiting(ObjectIdentifier(self)) }
}
