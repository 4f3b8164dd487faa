/// Reference of the program to a room. The room stays open while the reference exists. Any thread.
final class ProgramReference: Sendable {
  let room: ChatRoom

  /// Takes over a reference that ``ChatRooms/enter(_:)`` has counted.
  init(counted room: ChatRoom) { self.room = room }

  deinit { room.rooms?.leaveLater(room) }

  /// Waits until the room is open, the task is cancelled, or `timeout` has passed. Returns whether the room is open.
  func waitUntilOpen(within timeout: Duration) async -> Bool {
    if room.isOpen { return true }
    let owner = ObjectIdentifier(self)
    let limit = Task { [weak room] in
      try await Task.sleep(for: timeout)
      room?.stopWaiting(owner)
    }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        room.whenOpen(owner) { continuation.resume() }
        // The task may have been cancelled before the wait was registered.
        if Task.isCancelled { room.stopWaiting(owner) }
      }
    } onCancel: {
      room.stopWaiting(owner)
    }
    limit.cancel()
    return room.isOpen
  }
}
