public import Confab

/// The limits of a chat, which ``limits`` has as a table.
public struct ChatOptions: Equatable, Sendable {
  /// The most rooms at a time. The default is 10,000; 0 is no limit. A room with history stays when everyone has left,
  /// until its place is needed: the one left longest ago goes first. If the ``Chat/engine`` has its history it stays for a
  /// minute at the most, so that it is not fetched each time that somebody comes. When somebody is in each of them, who
  /// would open one more gets status 503.
  public var maxRooms = 10_000
  /// The most messages that a room keeps. The default is 1,000; with 0 none is kept, and a room goes with the last who
  /// leaves. The oldest ones are forgotten.
  public var maxHistoryMessages = 1000
  /// The most memory for what a room keeps, in bytes: those of the messages as JSON, and 64 for each. The default is 1 MiB. The
  /// oldest ones are forgotten.
  public var maxHistoryBytes = 1 << 20
  /// How long a room keeps a message, in whole seconds. The default is 0: for as long as the other limits
  /// let it. What is older is forgotten, with the next message or when somebody asks.
  public var maxHistoryAge = Duration.zero
  /// The same for all rooms together, and 4 KiB and the name for each room that everyone has left. The default is 256 MiB. Rooms that everyone has left are given up, the one left
  /// longest ago first; if that is not enough, the room that is spoken in forgets its oldest messages.
  public var maxTotalHistoryBytes = 256 << 20
  /// The most bytes of messages that wait for their place, and 256 for each, when the ``Chat/engine`` is a disk or a broker. The default is
  /// 64 MiB. Beyond it, a connection whose message waits is not read until its own messages have got their places: nothing
  /// is lost. 16 MiB beyond it, messages of other connections are refused: with the error `rateLimited`, or, for clients of
  /// the plain protocol, by closing the connection with 1013.
  public var maxWaitingBytes = 64 << 20
  /// How many of the newest messages somebody who comes is sent, 0 to 100, unless it says how many it wants. The default
  /// is 50.
  public var newcomerMessages = 50
  /// The longest text of the rich protocol, in characters (grapheme clusters), with 16 bytes of UTF-8 for each. The
  /// default is 4,000. A longer one is not said: the error is `textTooLong`.
  public var maxTextLength = 4000
  /// The longest name in the rich protocol, in characters (grapheme clusters), with 4 bytes of UTF-8 for each. The default
  /// is 32. Who wants a longer one gets the error `nameInvalid`. All servers of one chat should have the same.
  public var maxNameLength = 32
  /// The most events a second of one connection of the rich protocol. The default is 10; 0 is no limit. What is over it is
  /// not done: the error is `rateLimited`, with the time after which it would be.
  public var maxEventRate = 10
  /// How many events may come at once. The default is 20. As ``maxEventRate``.
  public var maxEventBurst = 20
  /// Renames a minute of one connection of the rich protocol, ten of them at once. The default is 60; 0 is no limit. More
  /// are not done: the error is `rateLimited`, with the time after which one would be.
  public var maxRenameRate = 60

  /// The defaults.
  public init() {}

  func validate() throws(ConfabError) {
    if let problem = problems.first { throw ConfabError(.invalidConfiguration, problem.message()) }
  }

  /// All that is wrong with them.
  package var problems: [Problem] { ChatOptions.limits.compactMap { $0.problem(in: self) } }

  /// All of them.
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
  /// What it is at by default.
  public func text() -> String { text(ChatOptions()) }
}
