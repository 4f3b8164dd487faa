public import Confab

/// Limits of a chat. ``limits`` lists them as a table. Sizes are in bytes. Clients of the rich protocol are
/// those that requested the subprotocol `chat.confab.v1`.
public struct ChatOptions: Equatable, Sendable {
  /// Maximum number of rooms. At the limit, the room that has been empty longest is removed. If every room is occupied,
  /// a client that opens another one gets status 503. If the ``Chat/engine`` stores the history, an empty room leaves
  /// memory after at most a minute. 0 means no limit. Range: 0 to 2^30. The default is 10,000.
  public var maxRooms = 10_000
  /// Maximum number of messages in a room's history. The oldest messages are deleted. Without history, a room is
  /// removed when its last client leaves. 0 means no history. Range: 0 to 2^30. The default is 1,000.
  public var maxHistoryMessages = 1000
  /// Maximum memory for a room's history. The oldest messages are deleted. A message counts the size of its JSON and
  /// another 64 bytes. Range: 0 to 1 GiB. The default is 1 MiB.
  public var maxHistoryBytes = 1 << 20
  /// Maximum age of a message in a room's history. Older messages are deleted. This happens when the next message
  /// arrives, or when a client joins or requests history. The age is rounded down to whole seconds. 0 means no limit.
  /// Range: 0 to 36,600 days. The default is 0 s.
  public var maxHistoryAge = Duration.zero
  /// Maximum memory for the history of all rooms. Empty rooms are removed first, then the oldest messages are deleted.
  /// An empty room counts another 4 KiB and its name. The room that has been empty longest is removed first. If that is
  /// not enough, the room that gets a message deletes its oldest messages. Range: 0 to 1 TiB. The default is 256 MiB.
  public var maxTotalHistoryBytes = 256 << 20
  /// Maximum memory for messages that are waiting for the disk or the broker. Above the limit, the server pauses
  /// reading from the senders of these messages until the messages are published. From 16 MiB above it, messages of
  /// other clients are rejected. No message of a paused sender is lost. A rejected message gets the error `rateLimited`
  /// in the rich protocol; in the plain protocol, the connection is closed with 1013. Each message counts another 256
  /// bytes. Range: 0 to 1 TiB. The default is 64 MiB.
  public var maxPendingBytes = 64 << 20
  /// Number of recent messages that a joining client gets. The client can request another number, and older messages.
  /// Range: 0 to 100. The default is 50.
  public var joinMessages = 50
  /// Maximum length of a text in the rich protocol, in characters (grapheme clusters). A longer text gets the error
  /// textTooLong. A text may also have at most 16 bytes of UTF-8 for each character of this limit. Range: 1 to 2^24.
  /// The default is 4,000.
  public var maxTextLength = 4000
  /// Maximum length of a name in the rich protocol, in characters (grapheme clusters). A longer name gets the error
  /// nameInvalid. A name may also have at most 4 bytes of UTF-8 for each character of this limit. All servers of one
  /// chat should have the same limit. Range: 1 to 256. The default is 32.
  public var maxNameLength = 32
  /// Maximum number of events per second from one client of the rich protocol. Further events are ignored and get the
  /// error rateLimited. The error has the delay before a retry. 0 means no limit. Range: 0 to 2^30. The default is 10.
  public var maxEventRate = 10
  /// Maximum number of events in one burst from one client of the rich protocol. Further events are ignored and get the
  /// error rateLimited. Range: 1 to 2^30. The default is 20.
  public var maxEventBurst = 20
  /// Maximum number of renames per minute by one client of the rich protocol. Further renames are ignored and get the
  /// error rateLimited. At most 10 may be in one burst. 0 means no limit. Range: 0 to 2^30. The default is 60.
  public var maxRenameRate = 60
  /// Maximum age of a message that a client of the rich protocol may edit or remove. A later change gets the error
  /// forbidden. 0 means no changes by clients. Range: 0 to 36,600 days. The default is 900 s.
  public var maxChangeAge = Duration.seconds(900)

  /// Creates options with the defaults.
  public init() {}

  package func validate() throws(ConfabError) {
    if let problem = problems.first { throw ConfabError(.invalidConfiguration, problem.message()) }
  }

  /// Problems of individual options.
  package var problems: [Problem] { ChatOptions.limits.compactMap { $0.problem(in: self) } }

  /// All limits.
  public static let limits: [Limit<ChatOptions>] = [
    Limit(
      "maxRooms", .count(\.maxRooms, 0...many), "Maximum number of rooms",
      """
      At the limit, the room that has been empty longest is removed. If every room is occupied, a client that opens \
      another one gets status 503
      """, meaningOfZero: "no limit"),
    Limit(
      "maxHistoryMessages", .count(\.maxHistoryMessages, 0...many), "Maximum number of messages in a room's history",
      "The oldest messages are deleted", meaningOfZero: "no history"),
    Limit(
      "maxHistoryBytes", .bytes(\.maxHistoryBytes, 0...many), "Maximum memory for a room's history",
      "The oldest messages are deleted"),
    Limit(
      "maxHistoryAge", .time(\.maxHistoryAge, .zero...maxAge), "Maximum age of a message in a room's history",
      "Older messages are deleted", meaningOfZero: "no limit"),
    Limit(
      "maxTotalHistoryBytes", .bytes(\.maxTotalHistoryBytes, 0...(1 << 40)),
      "Maximum memory for the history of all rooms",
      "Empty rooms are removed first, then the oldest messages are deleted"),
    Limit(
      "maxPendingBytes", .bytes(\.maxPendingBytes, 0...(1 << 40)),
      "Maximum memory for messages that are waiting for the disk or the broker",
      """
      Above the limit, the server pauses reading from the senders of these messages until the messages are published. \
      From 16 MiB above it, messages of other clients are rejected
      """),
    Limit(
      "joinMessages", .count(\.joinMessages, 0...History.maxPage),
      "Number of recent messages that a joining client gets",
      "The client can request another number, and older messages"),
    Limit(
      "maxTextLength", .count(\.maxTextLength, 1...(1 << 24)),
      "Maximum length of a text in the rich protocol, in characters (grapheme clusters)",
      "A longer text gets the error textTooLong"),
    Limit(
      "maxNameLength", .count(\.maxNameLength, 1...Name.greatestLimit),
      "Maximum length of a name in the rich protocol, in characters (grapheme clusters)",
      "A longer name gets the error nameInvalid"),
    Limit(
      "maxEventRate", .count(\.maxEventRate, 0...many),
      "Maximum number of events per second from one client of the rich protocol",
      "Further events are ignored and get the error rateLimited", meaningOfZero: "no limit"),
    Limit(
      "maxEventBurst", .count(\.maxEventBurst, 1...many),
      "Maximum number of events in one burst from one client of the rich protocol",
      "Further events are ignored and get the error rateLimited"),
    Limit(
      "maxRenameRate", .count(\.maxRenameRate, 0...many),
      "Maximum number of renames per minute by one client of the rich protocol",
      "Further renames are ignored and get the error rateLimited", meaningOfZero: "no limit"),
    Limit(
      "maxChangeAge", .time(\.maxChangeAge, .zero...maxAge),
      "Maximum age of a message that a client of the rich protocol may edit or remove",
      "A later change gets the error forbidden", meaningOfZero: "no changes by clients"),
  ]
}

private let many = 1 << 30
private let maxAge = Duration.seconds(100 * 366 * 24 * 3600)
