public import Confab

/// Limits of a chat. ``limits`` lists them as a table. Sizes are in bytes. Clients of the rich protocol are
/// those that requested the subprotocol `chat.confab.v1`.
public struct ChatOptions: Equatable, Sendable {
  /// Maximum number of rooms. At the limit, opening a room removes the room that has been empty longest. If no room is
  /// empty, a client that opens another room gets status 503. If the ``Chat/engine`` stores the history, an empty room
  /// is removed from memory after at most a minute. The rooms that clients of the rich protocol enter over one connection
  /// occupy at most three quarters of the limit. 0 means no limit. Range: 0 to 2^30. The default is 10,000.
  public var maxRooms = 10_000
  /// Maximum number of messages in a room's history. At the limit, the oldest messages are deleted. Without history, a
  /// room is removed when its last client leaves. 0 means no history. Range: 0 to 2^30. The default is 1,000.
  public var maxHistoryMessages = 1000
  /// Maximum memory for a room's history. At the limit, the oldest messages are deleted. The size of a message is that
  /// of its JSON plus 64 bytes. Range: 0 to 1 GiB. The default is 1 MiB.
  public var maxHistoryBytes = 1 << 20
  /// Maximum age of a message in a room's history. Older messages are deleted. They are deleted when the next message
  /// arrives, or when a client joins or requests history. The age is rounded down to whole seconds. 0 means no limit.
  /// Range: 0 to 36,600 days. The default is 0 s.
  public var maxHistoryAge = Duration.zero
  /// Maximum memory for the history of all rooms. At the limit, empty rooms are removed first, then the oldest messages
  /// are deleted. A room without clients counts with the size of its messages, the length of its name, and 4 KiB. Of
  /// the empty rooms, the one that has been empty longest is removed first. If all empty rooms are removed and a room
  /// gets a message, the oldest messages of this room are deleted. Range: 0 to 1 TiB. The default is 256 MiB.
  public var maxTotalHistoryBytes = 256 << 20
  /// Maximum memory for messages that are pending because the history file or NATS has not stored them yet. Above the
  /// limit, the server pauses reading from the senders of these messages until the messages are published. If the
  /// pending messages exceed the limit by 16 MiB, messages of clients without pending messages are rejected. No message
  /// of a paused sender is lost. A rejected message gets the error `rateLimited` in the rich protocol; in the plain
  /// protocol, the connection is closed with 1013. The size of a message includes 256 bytes of overhead. Range: 0 to 1
  /// TiB. The default is 64 MiB.
  public var maxPendingBytes = 64 << 20
  /// Number of recent messages that a joining client gets. A client can request a different number, and can request
  /// older messages later. Range: 0 to 100. The default is 50.
  public var joinMessages = 50
  /// Maximum length of a text in the rich protocol, in characters (grapheme clusters). Longer texts are rejected with
  /// the error textTooLong. The length in UTF-8 is limited to 16 × `maxTextLength` bytes. Range: 1 to 2^24. The default
  /// is 4,000.
  public var maxTextLength = 4000
  /// Maximum length of a name in the rich protocol, in characters (grapheme clusters). Longer names are rejected with
  /// the error nameInvalid. The length in UTF-8 is limited to 4 × `maxNameLength` bytes. All servers of one chat should
  /// have the same limit. Range: 1 to 256. The default is 32.
  public var maxNameLength = 32
  /// Maximum number of events per second from one client of the rich protocol. Additional events are ignored, and the
  /// client gets the error rateLimited. The error contains the delay after which the client may try again. 0 means no
  /// limit. Range: 0 to 2^30. The default is 10.
  public var maxEventRate = 10
  /// Maximum number of events in one burst from one client of the rich protocol. Additional events are ignored, and the
  /// client gets the error rateLimited. Range: 1 to 2^30. The default is 20.
  public var maxEventBurst = 20
  /// Maximum number of renames per minute by one client of the rich protocol. Additional renames are ignored, and the
  /// client gets the error rateLimited. At most 10 renames may be in one burst. 0 means no limit. Range: 0 to 2^30. The
  /// default is 60.
  public var maxRenameRate = 60
  /// Maximum age of a message that a client of the rich protocol may edit or remove. Later changes are rejected with
  /// the error forbidden. Moderators may remove messages of any age. 0 means that only moderators may remove messages.
  /// Range: 0 to 36,600 days. The default is 900 s.
  public var maxChangeAge = Duration.seconds(900)

  /// Maximum number of mutes and bans. At the limit, new mutes and bans are rejected with an error until a mute or ban
  /// is lifted or ends. All servers of one chat should have the same limit. Range: 0 to 100,000. The default is 10,000.
  public var maxRestrictions = 10_000
  /// Maximum time of a mute or ban of a guest by a client with the right moderate. Longer mutes and bans are shortened,
  /// because they also apply to all other guests with the guest's IPv4 address, or in its /64 of IPv6. 0 means no
  /// limit, and mutes and bans then apply only to the guest's session. Range: 0 to 36,600 days. The default is 86,400
  /// s.
  public var maxGuestRestriction = Duration.seconds(86_400)

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
      At the limit, opening a room removes the room that has been empty longest. If no room is empty, a client that \
      opens another room gets status 503
      """, meaningOfZero: "no limit"),
    Limit(
      "maxHistoryMessages", .count(\.maxHistoryMessages, 0...many), "Maximum number of messages in a room's history",
      "At the limit, the oldest messages are deleted", meaningOfZero: "no history"),
    Limit(
      "maxHistoryBytes", .bytes(\.maxHistoryBytes, 0...many), "Maximum memory for a room's history",
      "At the limit, the oldest messages are deleted"),
    Limit(
      "maxHistoryAge", .time(\.maxHistoryAge, .zero...maxAge), "Maximum age of a message in a room's history",
      "Older messages are deleted", meaningOfZero: "no limit"),
    Limit(
      "maxTotalHistoryBytes", .bytes(\.maxTotalHistoryBytes, 0...(1 << 40)),
      "Maximum memory for the history of all rooms",
      "At the limit, empty rooms are removed first, then the oldest messages are deleted"),
    Limit(
      "maxPendingBytes", .bytes(\.maxPendingBytes, 0...(1 << 40)),
      "Maximum memory for messages that are pending because the history file or NATS has not stored them yet",
      """
      Above the limit, the server pauses reading from the senders of these messages until the messages are published. \
      If the pending messages exceed the limit by 16 MiB, messages of clients without pending messages are rejected
      """),
    Limit(
      "joinMessages", .count(\.joinMessages, 0...History.maxPage),
      "Number of recent messages that a joining client gets",
      "A client can request a different number, and can request older messages later"),
    Limit(
      "maxTextLength", .count(\.maxTextLength, 1...(1 << 24)),
      "Maximum length of a text in the rich protocol, in characters (grapheme clusters)",
      "Longer texts are rejected with the error textTooLong"),
    Limit(
      "maxNameLength", .count(\.maxNameLength, 1...Name.greatestLimit),
      "Maximum length of a name in the rich protocol, in characters (grapheme clusters)",
      "Longer names are rejected with the error nameInvalid"),
    Limit(
      "maxEventRate", .count(\.maxEventRate, 0...many),
      "Maximum number of events per second from one client of the rich protocol",
      "Additional events are ignored, and the client gets the error rateLimited", meaningOfZero: "no limit"),
    Limit(
      "maxEventBurst", .count(\.maxEventBurst, 1...many),
      "Maximum number of events in one burst from one client of the rich protocol",
      "Additional events are ignored, and the client gets the error rateLimited"),
    Limit(
      "maxRenameRate", .count(\.maxRenameRate, 0...many),
      "Maximum number of renames per minute by one client of the rich protocol",
      "Additional renames are ignored, and the client gets the error rateLimited", meaningOfZero: "no limit"),
    Limit(
      "maxChangeAge", .time(\.maxChangeAge, .zero...maxAge),
      "Maximum age of a message that a client of the rich protocol may edit or remove",
      "Later changes are rejected with the error forbidden. Moderators may remove messages of any age",
      meaningOfZero: "that only moderators may remove messages"),
    Limit(
      "maxRestrictions", .count(\.maxRestrictions, 0...100_000), "Maximum number of mutes and bans",
      "At the limit, new mutes and bans are rejected with an error until a mute or ban is lifted or ends"),
    Limit(
      "maxGuestRestriction", .time(\.maxGuestRestriction, .zero...maxAge),
      "Maximum time of a mute or ban of a guest by a client with the right moderate",
      """
      Longer mutes and bans are shortened, because they also apply to all other guests with the guest's IPv4 address, \
      or in its /64 of IPv6
      """, meaningOfZero: "no limit, and mutes and bans then apply only to the guest's session"),
  ]
}

private let many = 1 << 30
private let maxAge = Duration.seconds(100 * 366 * 24 * 3600)
