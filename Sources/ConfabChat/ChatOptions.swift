public import Confab

/// Limits of a chat; ``limits`` lists them as a table.
public struct ChatOptions: Equatable, Sendable {
  /// Maximum number of rooms. The default is 10,000; 0 means no limit. A vacant room with history stays until its place
  /// is needed; the one that has been vacant longest is removed first. If the ``Chat/engine`` has its history, it stays
  /// for at most a minute, so that it is not read again each time a client joins. If all rooms are occupied, a client
  /// that would open another one gets status 503.
  public var maxRooms = 10_000
  /// Maximum number of messages in a room's history. The default is 1,000. The oldest messages are deleted. With 0
  /// no messages are stored, and a room is removed when its last client leaves.
  public var maxHistoryMessages = 1000
  /// Maximum memory of a room's history in bytes: the messages as JSON, and 64 for each. The default is 1 MiB. The
  /// oldest messages are deleted.
  public var maxHistoryBytes = 1 << 20
  /// Maximum age of a message in a room's history, in whole seconds. The default is 0, which means no limit. Older
  /// messages are deleted when the next message arrives, or when a client joins or requests history.
  public var maxHistoryAge = Duration.zero
  /// Maximum memory of all histories in bytes, including 4 KiB and the name for each vacant room. The default is 256
  /// MiB. Vacant rooms are removed first, the one that has been vacant longest before the others. If that is not
  /// enough, the room that gets a message deletes its oldest messages.
  public var maxTotalHistoryBytes = 256 << 20
  /// Maximum size of all messages that are pending for a disk or a broker, see ``Chat/engine``, in bytes, with 256 for
  /// each message. The default is 64 MiB. Beyond it, connections with pending messages are not read until these are
  /// published; no message is lost. From 16 MiB beyond it on, messages of other connections are rejected: with the
  /// error `rateLimited` or, in the plain protocol, by closing the connection with 1013.
  public var maxWaitingBytes = 64 << 20
  /// Number of recent messages that a joining client gets, 0 to 100, unless it requests another number. The default is
  /// 50.
  public var newcomerMessages = 50
  /// Maximum length of a text in the rich protocol, in characters (grapheme clusters), with 16 bytes of UTF-8 for each.
  /// The default is 4,000. A longer text gets the error `textTooLong`.
  public var maxTextLength = 4000
  /// Maximum length of a name in the rich protocol, in characters (grapheme clusters), with 4 bytes of UTF-8 for each.
  /// The default is 32. A longer name gets the error `nameInvalid`. All servers of one chat should have the same limit.
  public var maxNameLength = 32
  /// Maximum number of events per second of one connection of the rich protocol. The default is 10; 0 means no limit.
  /// Further events are ignored and get the error `rateLimited` with the delay before a retry.
  public var maxEventRate = 10
  /// Maximum number of events at once of one connection of the rich protocol. The default is 20. Further events get the
  /// error `rateLimited`, see ``maxEventRate``.
  public var maxEventBurst = 20
  /// Maximum number of renames per minute of one connection of the rich protocol, ten of them at once. The default is
  /// 60; 0 means no limit. Further renames are ignored and get the error `rateLimited` with the delay before a retry.
  public var maxRenameRate = 60

  /// Creates options with the defaults.
  public init() {}

  func validate() throws(ConfabError) {
    if let problem = problems.first { throw ConfabError(.invalidConfiguration, problem.message()) }
  }

  /// Problems of individual options.
  package var problems: [Problem] { ChatOptions.limits.compactMap { $0.problem(in: self) } }

  /// All limits.
  public static let limits: [Limit<ChatOptions>] = [
    Limit(
      "maxRooms", .count(\.maxRooms, 0...many), "Maximum number of rooms",
      "The empty room left longest ago is removed; without one, a new room is rejected with status 503",
      canBeOff: true),
    Limit(
      "maxHistoryMessages", .count(\.maxHistoryMessages, 0...many), "Maximum number of messages in a room's history",
      "The oldest messages are deleted"),
    Limit(
      "maxHistoryBytes", .bytes(\.maxHistoryBytes, 0...many), "Memory for a room's history",
      "The oldest messages are deleted"
    ),
    Limit(
      "maxHistoryAge", .time(\.maxHistoryAge, .zero...maxAge), "Maximum age of a message in a room's history",
      "Older messages are deleted", canBeOff: true),
    Limit(
      "maxTotalHistoryBytes", .bytes(\.maxTotalHistoryBytes, 0...(1 << 40)), "Memory for the history of all rooms",
      "Empty rooms are removed first, then the oldest messages are deleted"),
    Limit(
      "maxWaitingBytes", .bytes(\.maxWaitingBytes, 0...(1 << 40)),
      "Memory for messages that are pending for the disk or the broker",
      "Their senders are paused until they are published; from 16 MiB more on, other clients' messages are rejected"
    ),
    Limit(
      "newcomerMessages", .count(\.newcomerMessages, 0...History.maxPage),
      "Number of recent messages that a joining client gets",
      "It can request older ones"),
    Limit(
      "maxTextLength", .count(\.maxTextLength, 1...(1 << 24)),
      "Maximum length of a rich client's message in characters",
      "A longer text gets the error textTooLong"),
    Limit(
      "maxNameLength", .count(\.maxNameLength, 1...Name.greatestLimit),
      "Maximum length of a rich client's name in characters",
      "A longer name gets the error nameInvalid"),
    Limit(
      "maxEventRate", .count(\.maxEventRate, 0...many), "Maximum number of events per second of a rich client",
      "Further events get the error rateLimited", canBeOff: true),
    Limit(
      "maxEventBurst", .count(\.maxEventBurst, 1...many), "Maximum number of events of a rich client at once",
      "Further events get the error rateLimited"),
    Limit(
      "maxRenameRate", .count(\.maxRenameRate, 0...many), "Maximum number of renames per minute of a rich client",
      "Further renames get the error rateLimited", canBeOff: true),
  ]
}

private let many = 1 << 30
private let maxAge = Duration.seconds(100 * 366 * 24 * 3600)

extension Limit<ChatOptions> {
  /// Text of the default.
  public func text() -> String { text(ChatOptions()) }
}
