/// Position of a message in a room. It is valid in one epoch of the room.
public struct StreamPosition: Hashable, Codable, Sendable {
  /// The epoch of the offset.
  public let epoch: String
  /// The offset of the message, from 1; 0 is the position before all messages.
  public let offset: Int

  /// Creates a position from stored values.
  public init(epoch: String, offset: Int) { (self.epoch, self.offset) = (epoch, offset) }
}

/// A message of a room's history, or a change of a message.
public struct ChatMessage: Hashable, Sendable {
  /// The position of the message.
  public let position: StreamPosition
  /// Time at which the message got its offset: milliseconds since 1970, UTC.
  public let time: Int64
  /// Whether this is a message or a change of an earlier message.
  public let entry: EntryKind
  /// Whether the text of the message was edited.
  public let isEdited: Bool
  /// Whether the content of the message was removed. The text is then empty.
  public let isRemoved: Bool
  /// Name of the sender, or of the member or program that made the change; nil for a plain client.
  public let name: String?
  /// The sender; nil for a plain client.
  public let member: Member?
  /// Identifier that the sender has given the message: the tag of a client, or the key of the program. Nil for a plain
  /// client.
  public let key: String?
  /// The text. Nil for a binary message, whose content is not in the history. Nil also for a removal, and for an edit
  /// of a message that was changed again. If a plain client's text is longer than ``ChatOptions/maxTextLength`` allows,
  /// the history has only its beginning, and ``size`` is larger.
  public let text: String?
  /// Size of the message in bytes.
  public let size: Int

  private enum Field: Int, CaseIterable {
    case at, binary, by, edited, from, id, member, message, removed, tag, text, textBytes, type
  }
  private static let names = Field.allCases.map { Array("\($0)".utf8) }

  /// Parses the JSON of a ``MessageEvent`` or ``ChangeEvent``.
  init?(_ json: ArraySlice<UInt8>, epoch: String) {
    guard let object = JSONObject<Field>(Array(json), names: ChatMessage.names),
      let id = try? object.number(.id), let at = try? object.number(.at)
    else { return nil }
    position = StreamPosition(epoch: epoch, offset: id)
    time = Int64(at)
    let target = (try? object.number(.message)) ?? 0
    switch try? object.text(.type) {
    case "edited": entry = .edit(of: target)
    case "removed": entry = .removal(of: target)
    default: entry = .message
    }
    (isEdited, isRemoved) = (object.has(.edited), object.has(.removed))
    name = (try? object.text(entry == .message ? .from : .by)) ?? nil
    member = ((try? object.text(.member)) ?? nil).flatMap { Member($0) }
    key = (try? object.text(.tag)) ?? nil
    text = (try? object.text(.text)) ?? nil
    size = ((try? object.number(.textBytes)) ?? nil) ?? ((try? object.number(.binary)) ?? nil) ?? text?.utf8.count ?? 0
  }
}

/// A page of a room's history.
public struct HistoryPage: Sendable {
  /// The messages, oldest first.
  public let messages: [ChatMessage]
  /// Whether there are more messages in the requested direction.
  public let hasMore: Bool
  /// The position of the newest message that the room has ever had.
  public let end: StreamPosition
}

/// The members of a room.
public struct MemberList: Hashable, Sendable {
  /// The names of the clients of the rich protocol on all servers, in no order.
  public let names: [String]
  /// Number of all members on all servers, including those of the plain protocol.
  public let count: Int
}
