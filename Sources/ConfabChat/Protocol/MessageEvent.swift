internal import Confab

/// A message with its offset.
struct MessageEvent: ServerEvent {
  let id: Int
  /// Time in milliseconds since 1970.
  let at: Int64
  /// Name of the sender. Nil for the plain protocol; ``member`` and ``tag`` are then nil as well.
  var from: String?
  /// The sender, to which the tag belongs.
  var member: Member?
  var tag: String?
  /// Text of the message; nil for a binary message.
  var text: String?
  /// Size of a binary message in bytes; nil for text.
  var binary: Int?
  /// Maximum size of the text in JSON. If the text is longer, the event contains its beginning and its full size.
  var maxTextBytes = Int.max
  /// The last change of the message; nil if it is unchanged.
  var change: Change?

  /// A change of a message.
  enum Change {
    case edited
    /// The text is empty.
    case removed
  }

  init(
    at position: Position, from: String? = nil, member: Member? = nil, tag: String? = nil, text: String? = nil,
    binary: Int? = nil
  ) {
    (self.id, self.at) = (position.offset, position.time)
    (self.from, self.member, self.tag, self.text, self.binary) = (from, member, tag, text, binary)
  }

  init(
    at position: Position, _ message: Message, from: String? = nil, member: Member? = nil, tag: String? = nil,
    maxTextBytes: Int = .max
  ) {
    let isText = message.kind == .text
    self.init(
      at: position, from: from, member: member, tag: tag, text: isText ? String(message) : nil,
      binary: isText ? nil : message.bytes.count)
    self.maxTextBytes = maxTextBytes
  }

  init(_ publication: Publication, maxTextBytes: Int = .max) {
    let draft = publication.draft
    self.init(
      at: publication.position, Message(draft.kind, draft.bytes.span), from: draft.name, member: draft.member,
      tag: draft.tag, maxTextBytes: maxTextBytes)
  }

  /// Creates the event of a changed message. If `text` is nil, the message was removed.
  init(_ message: ChatMessage, text: String?) {
    self.init(
      at: Position(offset: message.position.offset, time: message.time), from: message.name, member: message.member,
      tag: message.key, text: text ?? "")
    change = text == nil ? .removed : .edited
  }

  /// Returns the maximum size in JSON of a text from a client of the rich protocol. Such a text has at most 16 bytes
  /// per character. Escaping doubles only quotes, backslashes, newlines and tabs.
  static func maxTextBytes(textLimit limit: Int) -> Int { 2 * Text.maxBytesPerCharacter * limit }

  func write(to object: inout JSONWriter) {
    object.member("at", Int(at))
    object.member("binary", binary)
    if change == .edited { object.member("edited", true) }
    object.member("from", from)
    object.member("id", id)
    object.member("member", member?.text)
    if change == .removed { object.member("removed", true) }
    object.member("tag", tag)
    if let text, !object.member("text", text, limit: maxTextBytes) { object.member("textBytes", text.utf8.count) }
    object.member("type", "message")
  }
}

/// A change of an earlier message.
struct ChangeEvent: ServerEvent {
  let id: Int
  /// Time in milliseconds since 1970.
  let at: Int64
  /// Name of the member or program that made the change.
  let by: String?
  let entry: EntryKind
  /// The new text of an edited message; nil if the message was changed again afterwards.
  var text: String?

  init(at position: Position, _ entry: EntryKind, by name: String?, text: String?) {
    (id, at, self.entry, by, self.text) = (position.offset, position.time, entry, name, text)
  }

  /// Creates the event of an edit whose message was changed again. The event has no text.
  init(_ edit: ChatMessage) {
    self.init(
      at: Position(offset: edit.position.offset, time: edit.time), edit.entry, by: edit.name, text: nil)
  }

  func write(to object: inout JSONWriter) {
    object.member("at", Int(at))
    object.member("by", by)
    object.member("id", id)
    object.member("message", entry.target)
    if case .edit = entry {
      object.member("text", text)
      object.member("type", "edited")
    } else {
      object.member("type", "removed")
    }
  }
}
