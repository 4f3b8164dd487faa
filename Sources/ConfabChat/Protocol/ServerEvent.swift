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
  /// The id before which the page ends; nil if the request has none.
  let before: Int?
  /// The id after which the page begins; nil if the request has none.
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
