internal import Confab
internal import Synchronization

/// A connection in its handshake, which waits until its room is open. Any thread.
final class PendingConnection: Sendable {
  /// Nil without an admission.
  let client: AdmittedClient?
  /// Nil if the client has no address.
  let address: AddressRange?
  private let room: ChatRoom
  private let loop: EventLoop
  /// Nil once the reference has been taken.
  private let reference: Mutex<RoomReference?>

  init(
    _ reference: consuming RoomReference, _ client: AdmittedClient?, from address: AddressRange?, on loop: EventLoop
  ) {
    (room, self.client, self.address, self.loop) = (reference.room, client, address, loop)
    self.reference = Mutex(reference)
  }

  deinit { stopWaiting() }

  var isOpen: Bool { room.isOpen }

  /// Returns the reference to the room, once.
  func takeReference() -> RoomReference? { reference.withLock { $0.take() } }

  /// Calls `action` once, on any thread, when the room is open or the connection stops waiting for that.
  func whenOpen(_ action: @escaping @Sendable () -> Void) { room.whenOpen(ObjectIdentifier(self), action) }

  /// Waits until the room is open, the task is cancelled, or `timeout` is over.
  func waitUntilOpen(within timeout: Duration) async {
    loop.execute(after: timeout) { [weak self] in self?.stopWaiting() }
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
