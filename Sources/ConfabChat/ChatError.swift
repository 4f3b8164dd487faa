/// An error that a call of ``Chat`` throws.
//
// Errors that clients of the rich protocol get are in Protocol/ErrorEvent.swift.
public struct ChatError: Error, CustomStringConvertible, Sendable {
  /// The kinds of errors.
  public enum Code: String, CaseIterable, Sendable {
    /// The text is empty, or longer than ``ChatOptions/maxTextLength``.
    case textInvalid
    /// The name is empty, longer than ``ChatOptions/maxNameLength``, or has characters that a name must not have.
    case nameInvalid
    /// The key does not have 1 to 64 ASCII letters, digits, - and _.
    case keyInvalid
    /// The path does not begin with `/`, or is too long.
    case roomInvalid
    /// There are ``ChatOptions/maxRooms`` rooms, and all are occupied.
    case tooManyRooms
    /// Too many messages are pending, see ``ChatOptions/maxPendingBytes``. Try again later.
    case tooManyPending
    /// The prefix is malformed, or contains too many addresses: see ``Network/init(_:)``.
    case networkInvalid
    /// The id of the user is empty, or longer than ``Identity/maxIDLength``.
    case userInvalid
    /// The time is not in the future, or is after the year 9999.
    case timeInvalid
    /// There are ``ChatOptions/maxRestrictions`` mutes and bans.
    case tooManyRestrictions
    /// The restriction does not exist, or has ended.
    case restrictionGone
    /// The engine cannot be reached.
    case unavailable
    /// The broker rejects the message, because it is too large.
    case rejected
    /// The engine's history was replaced while the message was pending, so the server does not know whether the message
    /// was stored. If the message is published again with the same key, it is not stored twice.
    case unknown
    /// Messages after the position are no longer stored, so a reader would miss some of them. For a change: the message
    /// is not stored, or has been removed.
    case historyGone
    /// The position belongs to an earlier epoch of the room, so it is not valid any more.
    case epochChanged
  }

  /// The kind of the error.
  public let code: Code
  /// One sentence about the error.
  public let message: String

  package init(_ code: Code, _ message: String) { (self.code, self.message) = (code, message) }

  static let otherEpoch = ChatError(
    .epochChanged, "the numbering of the room has begun anew: the position is of another epoch")

  public var description: String { message }
}
