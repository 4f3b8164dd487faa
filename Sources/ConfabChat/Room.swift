internal import Confab

/// A room: a log that everyone in it reads.
final class Room: @unchecked Sendable {
  // @unchecked: `people` is used under the lock of the chat's rooms only.
  let name: String
  /// How many are in it.
  var people = 0
  private let log = BroadcastLog()

  init(name: String) { self.name = name }

  /// Lets a connection read what is said from now on.
  func admit(_ connection: Connection) { connection.join(log) }

  /// Says a message to everyone, the sender included.
  func say(_ message: Message) { log.append(message) }
}
