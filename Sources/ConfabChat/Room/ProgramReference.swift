/// Reference of the program to a room, which it keeps open. Any thread.
final class ProgramReference: Sendable {
  let room: ChatRoom

  /// Begins with a reference that ``ChatRooms/enter(_:)`` has counted.
  init(counted room: ChatRoom) { self.room = room }

  deinit { room.rooms?.leaveLater(room) }

  /// Waits until the room is open, the task is cancelled, or `timeout` is over. Returns whether it is open.
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
