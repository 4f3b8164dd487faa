/// Waits for messages or members of a room, which it keeps open for the program. Any thread.
final class RoomObserver: Sendable {
  enum Subject {
    case messages, members
  }

  private let subject: Subject
  private let reference: ProgramReference
  private let signals: AsyncStream<Void>
  var room: ChatRoom { reference.room }
  /// Position of the newest message when an observer of messages began; nil until the room is open.
  var start: StreamPosition? { room.start(of: ObjectIdentifier(reference)) }

  init(of subject: Subject, in reference: ProgramReference) {
    let (signals, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    (self.subject, self.reference, self.signals) = (subject, reference, signals)
    let id = ObjectIdentifier(reference)
    switch subject {
    case .messages: reference.room.observe(id) { continuation.yield() }
    case .members: reference.room.watchMembers(id) { continuation.yield() }
    }
  }

  deinit {
    let id = ObjectIdentifier(reference)
    switch subject {
    case .messages: room.stopObserving(id)
    case .members: room.stopWatchingMembers(id)
    }
  }

  /// Returns when the subject may have changed, or the task is cancelled.
  func wait() async { for await _ in signals { return } }
}
