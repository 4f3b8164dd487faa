public import Confab

/// Kind of an entry in a room's order: a message, or a change of an earlier message. Every reader applies changes in
/// the order of their offsets.
public enum EntryKind: Sendable, Hashable {
  /// A message.
  case message
  /// Replaces the text of the message with this offset. Engines delete the text of earlier edits of the message from
  /// their storage.
  case edit(of: Int)
  /// Removes the content of the message with this offset, and of its edits. Engines delete the content from their
  /// storage, including the content of later edits.
  case removal(of: Int)

  /// Offset of the changed message; nil for a message.
  public var target: Int? {
    switch self {
    case .message: nil
    case .edit(let offset), .removal(let offset): offset
    }
  }
}

/// A message, or a change of a message, before it has an offset.
public struct Draft: Sendable {
  /// Whether this is a message or a change.
  public let entry: EntryKind
  /// Message kind of the plain protocol. Messages of the rich protocol are text.
  public let kind: Message.Kind
  /// Payload of the message.
  public let bytes: [UInt8]
  /// Name of the sender; nil for the plain protocol.
  public let name: String?
  /// The sending client; nil for the plain protocol.
  public let member: Member?
  /// Identifier that the client has chosen: 1 to 64 ASCII letters, digits, - and _. While the room stores a message, it
  /// does not store a second message with the same member and tag.
  public let tag: String?

  /// Creates a draft. Engines read drafts from files and streams, so the values may be invalid: text that is not UTF-8
  /// becomes binary, and invalid names and tags are dropped.
  public init(
    _ entry: EntryKind = .message, kind: Message.Kind, bytes: [UInt8],
    name: String? = nil, member: Member? = nil, tag: String? = nil
  ) {
    self.entry = entry
    self.kind = kind == .text && !Message.isText(bytes.span) ? .binary : kind
    (self.bytes, self.member) = (bytes, member)
    self.name = name.flatMap { 1...Name.maxBytes ~= $0.utf8.count ? $0 : nil }
    self.tag = tag.flatMap { Tag($0)?.text }
  }

  /// Creates a draft of the plain protocol.
  init(_ message: Message) { self.init(kind: message.kind, bytes: [UInt8](message)) }
}

/// Position of a message in a room's order, and its time.
public struct Position: Sendable, Hashable {
  /// Offset, from 1, above the offsets of all earlier messages. There may be gaps.
  public let offset: Int
  /// Time at which the message got its offset: milliseconds since 1970, UTC.
  public let time: Int64

  /// Creates a position.
  public init(offset: Int, time: Int64) { (self.offset, self.time) = (offset, time) }

  /// Valid offsets: those that JSON numbers represent exactly.
  package static let offsets = 1...1 << 53
  /// Valid times, up to the year 9999.
  package static let times: Range<Int64> = 0..<253_402_300_800_000
}

/// A message, or a change of a message, with its offset.
public struct Publication: Sendable {
  /// The offset and time.
  public let position: Position
  /// The message or change.
  public let draft: Draft

  /// Creates a publication.
  public init(_ draft: Draft, at position: Position) { (self.draft, self.position) = (draft, position) }
}

/// Snapshot of a room that an engine restores.
public struct RoomSnapshot: Sendable {
  /// Epoch of the offsets. It changes when offsets may be assigned again.
  public let epoch: String
  /// Offset of the newest message that the room has ever had; 0 without messages.
  public let lastOffset: Int
  /// The newest messages, oldest first, without gaps.
  public let publications: [Publication]

  /// An empty room with a new, random epoch.
  package static var empty: RoomSnapshot {
    RoomSnapshot(epoch: String(UInt64.random(in: .min ... .max), radix: 36), lastOffset: 0, publications: [])
  }

  /// Creates a snapshot.
  public init(epoch: String, lastOffset: Int, publications: [Publication]) {
    (self.epoch, self.lastOffset, self.publications) = (epoch, lastOffset, publications)
  }
}
