internal import Confab

/// What a client of the rich protocol is sent: an object of JSON, encoded once for all who get it.
protocol ServerEvent {
  /// Writes the members.
  func write(to object: inout JSONWriter)
}

extension ServerEvent {
  /// The text of the message.
  var json: [UInt8] {
    var object = JSONWriter()
    write(to: &object)
    return object.end()
  }
}

/// Something has been said.
struct MessageEvent: ServerEvent {
  let id: Int
  /// Milliseconds since 1970.
  let at: Int64
  /// Nobody, if it has been said by the plain protocol; then there is no member and no tag.
  var from: String?
  /// Whose the tag is.
  var member: Member?
  var tag: String?
  /// Nil for a binary message …
  var text: String?
  /// … which has so many bytes.
  var binary: Int?
  /// Maximum size of the text as it is written. Of a longer one the beginning is written, and the size of all of it.
  var maxTextBytes = Int.max

  init(
    at place: Place, from: String? = nil, member: Member? = nil, tag: String? = nil, text: String? = nil,
    binary: Int? = nil
  ) {
    (self.id, self.at) = (place.id, place.at)
    (self.from, self.member, self.tag, self.text, self.binary) = (from, member, tag, text, binary)
  }

  init(
    at place: Place, _ message: Message, from: String? = nil, member: Member? = nil, tag: String? = nil,
    maxTextBytes: Int = .max
  ) {
    let isText = message.kind == .text
    self.init(
      at: place, from: from, member: member, tag: tag, text: isText ? String(message) : nil,
      binary: isText ? nil : message.bytes.count)
    self.maxTextBytes = maxTextBytes
  }

  init(_ placed: PlacedPost, maxTextBytes: Int = .max) {
    let post = placed.post
    self.init(
      at: placed.place, Message(post.kind, post.bytes.span), from: post.name, member: post.member, tag: post.tag,
      maxTextBytes: maxTextBytes)
  }

  /// Maximum size of a text that a client of the rich protocol has said, as JSON: it has at most 16 bytes for each
  /// character, and of these only quotes, backslashes, newlines and tabs become longer.
  static func maxTextBytes(textLimit limit: Int) -> Int { 2 * Text.maxBytesPerCharacter * limit }

  func write(to object: inout JSONWriter) {
    object.member("at", Int(at))
    object.member("binary", binary)
    object.member("from", from)
    object.member("id", id)
    object.member("member", member?.text)
    object.member("tag", tag)
    if let text, !object.member("text", text, limit: maxTextBytes) { object.member("textBytes", text.utf8.count) }
    object.member("type", "message")
  }
}

/// The answer to a hello.
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
  /// Each a ``MessageEvent``.
  let messages: [ArraySlice<UInt8>]
  let more: Bool
  let gap: Bool
  let limits: Limits

  struct Limits {
    let text: Int
    let name: Int
    let rate: Int
    let burst: Int
  }

  func write(to object: inout JSONWriter) {
    object.member("count", count)
    object.member("epoch", epoch)
    object.member("gap", gap)
    object.member("last", last)
    object.member("limits") { object in
      object.member("burst", limits.burst)
      object.member("name", limits.name)
      object.member("rate", limits.rate)
      object.member("text", limits.text)
    }
    object.member("member", member.text)
    object.member("messages", json: messages)
    object.member("more", more)
    object.member("name", name)
    object.member("oldest", oldest)
    object.member("people", people)
    object.member("room", room)
    object.member("session", session)
    object.member("type", "welcome")
  }

  /// The most names in `people`.
  static let maxPeople = 200
}

/// A page of the history, oldest first.
struct HistoryEvent: ServerEvent {
  /// Each a ``MessageEvent``.
  let messages: [ArraySlice<UInt8>]
  let oldest: Int
  /// What was asked for: one of the two.
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

/// Who has come, gone, or got another name.
struct PresenceEvent: ServerEvent, Equatable {
  var joined: [String] = []
  var left: [String] = []
  /// Pairs: the old name and the new one.
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

/// Somebody is writing.
struct TypingEvent: ServerEvent {
  let name: String

  func write(to object: inout JSONWriter) {
    object.member("name", name)
    object.member("type", "typing")
  }
}

/// The answer to a rename.
struct RenamedEvent: ServerEvent {
  let name: String

  func write(to object: inout JSONWriter) {
    object.member("name", name)
    object.member("type", "renamed")
  }
}

/// Whether what is said gets its place now; until it does, it waits.
struct AvailabilityEvent: ServerEvent {
  let available: Bool

  func write(to object: inout JSONWriter) {
    object.member("available", available)
    object.member("type", "availability")
  }
}

/// The connection is going to be closed.
struct MovingEvent: ServerEvent {
  /// Milliseconds.
  let after: Int

  init(after delay: Duration) { after = Int(delay / .milliseconds(1)) }

  func write(to object: inout JSONWriter) {
    object.member("after", after)
    object.member("type", "moving")
  }
}

/// Why something has not been done.
struct ErrorEvent: ServerEvent {
  let code: Code
  let message: String
  var tag: String?
  var ref: String?
  var proposal: String?
  /// Milliseconds.
  var retryAfter: Int?

  enum Code: String, CaseIterable {
    case nameTaken, nameInvalid, notIntroduced, alreadyIntroduced, malformed, unknownType, textTooLong, textEmpty
    case tagInvalid, rateLimited, historyGone
  }

  init(
    _ code: Code, _ message: String, tag: String? = nil, proposal: String? = nil, retryAfter: Int? = nil
  ) {
    (self.code, self.message, self.proposal, self.retryAfter) = (code, message, proposal, retryAfter)
    // What a client may take for a tag, but is too long for one, is not repeated to it.
    self.tag = tag.flatMap { $0.utf8.count <= Tag.maxLength ? $0 : nil }
  }

  func write(to object: inout JSONWriter) {
    object.member("code", code.rawValue)
    object.member("message", message)
    object.member("proposal", proposal)
    object.member("ref", ref)
    object.member("retryAfter", retryAfter)
    object.member("tag", tag)
    object.member("type", "error")
  }
}
