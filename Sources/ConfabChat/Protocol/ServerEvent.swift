internal import Confab
internal import FoundationEssentials

/// What a client of the rich protocol is sent: an object of JSON, encoded once for all who get it.
protocol ServerEvent: Encodable {}

extension ServerEvent {
  /// The text of the message.
  var json: Data {
    guard let data = try? sharedEncoder.encode(self) else { preconditionFailure("\(self) cannot be encoded") }
    return data
  }
}

private let sharedEncoder: JSONEncoder = {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  return encoder
}()

/// Something has been said.
struct MessageEvent: ServerEvent {
  private let type = "message"
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

  init(
    at place: Place, from: String? = nil, member: Member? = nil, tag: String? = nil, text: String? = nil,
    binary: Int? = nil
  ) {
    (self.id, self.at) = (place.id, place.at)
    (self.from, self.member, self.tag, self.text, self.binary) = (from, member, tag, text, binary)
  }

  init(at place: Place, _ message: Message, from: String? = nil, member: Member? = nil, tag: String? = nil) {
    let isText = message.kind == .text
    self.init(
      at: place, from: from, member: member, tag: tag, text: isText ? String(message) : nil,
      binary: isText ? nil : message.bytes.count)
  }
}

/// The answer to a hello.
struct WelcomeEvent: ServerEvent {
  private let type = "welcome"
  let room: String
  let name: String
  let member: Member
  let session: String
  let epoch: String
  let last: Int
  let oldest: Int
  let people: [String]
  let count: Int
  let messages: [MessageEvent]
  let more: Bool
  let gap: Bool
  let limits: Limits

  struct Limits: Encodable {
    let text: Int
    let name: Int
    let rate: Int
    let burst: Int
  }

  /// The most names in `people`.
  static let maxPeople = 200
}

/// A page of the history, oldest first.
struct HistoryEvent: ServerEvent {
  private let type = "history"
  let messages: [MessageEvent]
  let oldest: Int
  /// What was asked for: one of the two.
  let before: Int?
  let after: Int?
  let more: Bool
}

/// Who has come, gone, or got another name.
struct PresenceEvent: ServerEvent, Equatable {
  private let type = "presence"
  var joined: [String] = []
  var left: [String] = []
  /// Pairs: the old name and the new one.
  var renamed: [[String]] = []
  let count: Int

  init(count: Int) { self.count = count }
}

/// Somebody is writing.
struct TypingEvent: ServerEvent {
  private let type = "typing"
  let name: String
}

/// The answer to a rename.
struct RenamedEvent: ServerEvent {
  private let type = "renamed"
  let name: String
}

/// Whether what is said gets its place now; until it does, it waits.
struct AvailabilityEvent: ServerEvent {
  private let type = "availability"
  let available: Bool
}

/// The connection is going to be closed.
struct MovingEvent: ServerEvent {
  private let type = "moving"
  /// Milliseconds.
  let after: Int

  init(after delay: Duration) { after = Int(delay / .milliseconds(1)) }
}

/// Why something has not been done.
struct ErrorEvent: ServerEvent {
  private let type = "error"
  let code: Code
  let message: String
  var tag: String?
  var proposal: String?
  /// Milliseconds.
  var retryAfter: Int?

  enum Code: String, Encodable, CaseIterable {
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
}
