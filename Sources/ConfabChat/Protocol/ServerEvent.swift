internal import Confab

/// An event for clients of the rich protocol: a JSON object, encoded once for all receivers.
protocol ServerEvent {
  /// Writes the members.
  func write(to object: inout JSONWriter)
}

extension ServerEvent {
  /// The encoded event.
  var json: [UInt8] {
    var object = JSONWriter()
    write(to: &object)
    return object.end()
  }
}

/// A message with its offset.
struct MessageEvent: ServerEvent {
  let id: Int
  /// Time in milliseconds since 1970.
  let at: Int64
  /// Name of the sender; nil for the plain protocol, which has no member and no tag either.
  var from: String?
  /// The sender, to which the tag belongs.
  var member: Member?
  var tag: String?
  /// Text of the message; nil for a binary message.
  var text: String?
  /// Size of a binary message in bytes; nil for text.
  var binary: Int?
  /// Maximum size of the text as written. Of a longer text only the beginning is written, together with its full size.
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

  /// Creates the event of a message that was changed: it has another text, or was removed if `text` is nil.
  init(_ message: ChatMessage, text: String?) {
    self.init(
      at: Position(offset: message.position.offset, time: message.time), from: message.name, member: message.member,
      tag: message.key, text: text ?? "")
    change = text == nil ? .removed : .edited
  }

  /// Returns the maximum size as JSON of a text from a client of the rich protocol. It has at most 16 bytes for each
  /// character, and only quotes, backslashes, newlines and tabs grow by escaping.
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

  /// Creates the event of an edit whose message was changed again, so that its text is not needed.
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

/// Response to a hello.
struct WelcomeEvent: ServerEvent {
  let room: String
  let name: String
  let member: Member
  let session: String
  let epoch: String
  let last: Int
  let oldest: Int
  let people: [String]
  let count: Int
  /// Encoded ``MessageEvent``s.
  let messages: [ArraySlice<UInt8>]
  let more: Bool
  let gap: Bool
  let limits: ClientLimits
  /// Nil without an admission.
  let identity: Identity?

  struct ClientLimits {
    let text: Int
    let name: Int
    let rate: Int
    let burst: Int
    /// Seconds in which a client may change its own message.
    let change: Int
    /// Maximum number of rooms of one connection.
    let rooms: Int

    init(_ options: ChatOptions, rooms: Int) {
      self.rooms = rooms
      (text, name) = (options.maxTextLength, options.maxNameLength)
      (rate, burst) = (options.maxEventRate, options.maxEventBurst)
      change = Int(options.maxChangeAge.components.seconds)
    }
  }

  func write(to object: inout JSONWriter) {
    object.member("count", count)
    object.member("epoch", epoch)
    object.member("expires", identity?.expires.map { Int($0) })
    object.member("gap", gap)
    object.member("last", last)
    object.member("limits") { object in
      object.member("burst", limits.burst)
      object.member("change", limits.change)
      object.member("name", limits.name)
      object.member("rate", limits.rate)
      object.member("rooms", limits.rooms)
      object.member("text", limits.text)
    }
    object.member("member", member.text)
    object.member("messages", json: messages)
    object.member("more", more)
    object.member("name", name)
    object.member("oldest", oldest)
    object.member("people", people)
    if let identity { object.member("rights", identity.rights.names) }
    object.member("room", room)
    object.member("session", session)
    object.member("type", "welcome")
  }

  /// Maximum number of names in `people`.
  static let maxPeople = 200
}

/// A page of the history, oldest first.
struct HistoryEvent: ServerEvent {
  /// Encoded ``MessageEvent``s.
  let messages: [ArraySlice<UInt8>]
  let oldest: Int
  /// The requested id; either `before` or `after` is set.
  let before: Int?
  let after: Int?
  let more: Bool

  func write(to object: inout JSONWriter) {
    object.member("after", after)
    object.member("before", before)
    object.member("messages", json: messages)
    object.member("more", more)
    object.member("oldest", oldest)
    object.member("type", "history")
  }
}

/// Members that have joined, left or been renamed.
struct PresenceEvent: ServerEvent, Equatable {
  var joined: [String] = []
  var left: [String] = []
  /// Pairs of the old name and the new one.
  var renamed: [[String]] = []
  let count: Int

  init(count: Int) { self.count = count }

  func write(to object: inout JSONWriter) {
    object.member("count", count)
    object.member("joined", joined)
    object.member("left", left)
    object.member("renamed", renamed)
    object.member("type", "presence")
  }
}

/// A user is typing.
struct TypingEvent: ServerEvent {
  let name: String

  func write(to object: inout JSONWriter) {
    object.member("name", name)
    object.member("type", "typing")
  }
}

/// The client has left a room that it had entered.
struct LeftEvent: ServerEvent {
  let room: String

  func write(to object: inout JSONWriter) {
    object.member("room", room)
    object.member("type", "left")
  }
}

/// Response to a rename.
struct RenamedEvent: ServerEvent {
  let name: String

  func write(to object: inout JSONWriter) {
    object.member("name", name)
    object.member("type", "renamed")
  }
}

/// Whether messages get offsets now. Otherwise they are pending.
struct AvailabilityEvent: ServerEvent {
  let available: Bool

  func write(to object: inout JSONWriter) {
    object.member("available", available)
    object.member("type", "availability")
  }
}

/// Announces that the server will close the connection.
struct MovingEvent: ServerEvent {
  /// Delay before reconnecting, in milliseconds.
  let after: Int

  init(after delay: Duration) { after = Int(delay / .milliseconds(1)) }

  func write(to object: inout JSONWriter) {
    object.member("after", after)
    object.member("type", "moving")
  }
}

/// Asks for a new token.
struct TokenEvent: ServerEvent {
  /// Time until the connection is closed, in milliseconds.
  let grace: Int

  init(grace: Duration) { self.grace = Int(grace / .milliseconds(1)) }

  func write(to object: inout JSONWriter) {
    object.member("grace", grace)
    object.member("type", "token")
  }
}

/// Response to a new token.
struct AdmittedEvent: ServerEvent {
  let identity: Identity

  init(_ identity: Identity) { self.identity = identity }

  func write(to object: inout JSONWriter) {
    object.member("expires", identity.expires.map { Int($0) })
    object.member("rights", identity.rights.names)
    object.member("type", "admitted")
  }
}
