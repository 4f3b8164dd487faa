/// The limits of a chat.
public struct ChatOptions: Sendable, Equatable {
  /// The most rooms at a time. The default is 10,000; 0 is no limit. A room that everyone has left stays for as long as
  /// there are no more, and the one that was left longest ago goes first. When somebody is in each of them, who would open
  /// one more gets status 503.
  public var maxRooms = 10_000
  /// The most messages that a room keeps. The default is 1,000; with 0 nothing is kept. The oldest one is forgotten.
  public var maxHistoryMessages = 1000
  /// The most bytes of messages that a room keeps, 64 for each message included. The default is 1 MiB. The oldest one is
  /// forgotten.
  public var maxHistoryBytes = 1 << 20
  /// The most bytes of messages that all rooms keep together. The default is 256 MiB. Over it rooms that nobody is in are
  /// given up, the one that was left longest ago first; then the room that is spoken in forgets its oldest messages.
  public var maxTotalHistoryBytes = 256 << 20
  /// How many messages somebody who comes is sent if it does not say how many it wants, 0 to 100. The default is 50.
  public var newcomerMessages = 50
  /// The longest text of the rich protocol, in characters (grapheme clusters); in UTF-8 it may have 16 bytes for each.
  /// The default is 4,000. What is longer is not said: the sender gets the error `textTooLong`.
  public var maxTextLength = 4000
  /// The most events a second of one connection of the rich protocol. The default is 10; 0 is no limit. One more is not
  /// done: the sender gets the error `rateLimited`.
  public var maxEventRate = 10
  /// How many events may come at once, after a while without any. The default is 20. As ``maxEventRate``.
  public var maxEventBurst = 20

  public init() {}
}
