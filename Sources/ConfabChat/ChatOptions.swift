public import Confab

/// Limits of a chat. ``limits`` lists them as a table. Clients of the rich protocol are those that requested the
/// subprotocol `chat.confab.v1`.
public struct ChatOptions: Equatable, Sendable {
  /// Maximum number of rooms. The default is 10,000; 0 means no limit. At the limit, the room that has been empty
  /// longest is removed. If every room is occupied, a client that opens another one gets status 503. If the
  /// ``Chat/engine`` stores the history, an empty room leaves memory after at most a minute.
  public var maxRooms = 10_000
  /// Maximum number of messages in a room's history. The default is 1,000. The oldest messages are deleted. With 0, the
  /// chat stores no messages, and a room is removed when its last client leaves.
  public var maxHistoryMessages = 1000
  /// Maximum memory of a room's history in bytes: the messages as JSON, plus 64 bytes for each. The default is 1
  /// MiB. The oldest messages are deleted.
  public var maxHistoryBytes = 1 << 20
  /// Maximum age of a message in a room's history, rounded down to whole seconds. The default is 0, which means no
  /// limit. Older messages are deleted when the next message arrives, or when a client joins or requests history.
  public var maxHistoryAge = Duration.zero
  /// Maximum memory of all histories in bytes. An empty room counts another 4 KiB and its name. The default is 256 MiB.
  /// Empty rooms are removed first, beginning with the room that has been empty longest. If that is not enough, the
  /// room that gets a message deletes its oldest messages.
  public var maxTotalHistoryBytes = 256 << 20
  /// Maximum size in bytes of all messages that are waiting for the disk or the broker of the ``Chat/engine``; each
  /// message counts another 256 bytes. The default is 64 MiB. Above the limit, the server pauses reading from the
  /// senders of these messages until the messages are published; no message is lost. From 16 MiB above it, messages of
  /// other clients are rejected. In the rich protocol, the client gets the error `rateLimited`. In the plain protocol,
  /// its connection is closed with 1013.
  public var maxPendingBytes = 64 << 20
  /// Number of recent messages that a joining client gets, 0 to 100, unless it requests another number. The default is
  /// 50.
  public var joinMessages = 50
  /// Maximum length of a text in the rich protocol, in characters (grapheme clusters). A text may also have at most 16
  /// bytes of UTF-8 for each character of this limit. The default is 4,000. A longer text gets the error `textTooLong`.
  public var maxTextLength = 4000
  /// Maximum length of a name in the rich protocol, in characters (grapheme clusters). A name may also have at most 4
  /// bytes of UTF-8 for each character of this limit. The default is 32. A longer name gets the error `nameInvalid`.
  /// All servers of one chat should have the same limit.
  public var maxNameLength = 32
  /// Maximum number of events per second from one client of the rich protocol. The default is 10; 0 means no limit.
  /// Further events are ignored and get the error `rateLimited` with the delay before a retry.
  public var maxEventRate = 10
  /// Maximum number of events at once from one client of the rich protocol, before ``maxEventRate`` applies. The
  /// default is 20. Further events get the error `rateLimited`.
  public var maxEventBurst = 20
  /// Maximum number of renames per minute by one client of the rich protocol, at most ten in one burst. The default is
  /// 60; 0 means no limit. Further renames are ignored and get the error `rateLimited` with the delay before a retry.
  public var maxRenameRate = 60

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
      """,
      canBeOff: true),
    Limit(
      "maxHistoryMessages", .count(\.maxHistoryMessages, 0...many), "Maximum number of messages in a room's history",
      "The oldest messages are deleted. 0 stores none"),
    Limit(
      "maxHistoryBytes", .bytes(\.maxHistoryBytes, 0...many), "Maximum memory for a room's history",
      "The oldest messages are deleted"
    ),
    Limit(
      "maxHistoryAge", .time(\.maxHistoryAge, .zero...maxAge), "Maximum age of a message in a room's history",
      "Older messages are deleted", canBeOff: true),
    Limit(
      "maxTotalHistoryBytes", .bytes(\.maxTotalHistoryBytes, 0...(1 << 40)),
      "Maximum memory for the history of all rooms",
      "Empty rooms are removed first, then the oldest messages are deleted"),
    Limit(
      "maxPendingBytes", .bytes(\.maxPendingBytes, 0...(1 << 40)),
      "Maximum memory for messages that are waiting for the disk or the broker",
      """
      Above the limit, reading from the senders of these messages pauses until the messages are published. From 16 MiB \
      above it, messages of other clients are rejected
      """
    ),
    Limit(
      "joinMessages", .count(\.joinMessages, 0...History.maxPage),
      "Number of recent messages that a joining client gets",
      "The client can request older ones"),
    Limit(
      "maxTextLength", .count(\.maxTextLength, 1...(1 << 24)),
      "Maximum length of a text in the rich protocol, in characters",
      "A longer text gets the error textTooLong"),
    Limit(
      "maxNameLength", .count(\.maxNameLength, 1...Name.greatestLimit),
      "Maximum length of a name in the rich protocol, in characters",
      "A longer name gets the error nameInvalid"),
    Limit(
      "maxEventRate", .count(\.maxEventRate, 0...many),
      "Maximum number of events per second from one client of the rich protocol",
      "Further events get the error rateLimited", canBeOff: true),
    Limit(
      "maxEventBurst", .count(\.maxEventBurst, 1...many),
      "Maximum number of events at once from one client of the rich protocol, before the event rate applies",
      "Further events get the error rateLimited"),
    Limit(
      "maxRenameRate", .count(\.maxRenameRate, 0...many),
      "Maximum number of renames per minute by one client of the rich protocol",
      "Further renames get the error rateLimited", canBeOff: true),
  ]
}

private let many = 1 << 30
private let maxAge = Duration.seconds(100 * 366 * 24 * 3600)

extension Limit<ChatOptions> {
  /// Returns the default value, with its unit.
  public func text() -> String { text(ChatOptions()) }
}
