internal import Confab

/// An event from a client of the rich protocol.
enum ClientEvent {
  case hello(Hello)
  case say(Say)
  case typing
  case history(HistoryRequest)
  case rename(Rename)
  case edit(Edit)
  case remove(Remove)
  case token(String)
  case moderate(ModeratorEvent)
  case enter(Hello)
  case leave
  case unknown(String)

  struct Hello {
    /// Requested name. Not required if the client's name is verified.
    var name: String?
    var token: String?
    var session: String?
    let epoch: String?
    let after: Int?
    let history: Int?

    fileprivate init(_ object: JSONObject<Key>) throws(WrongJSONType) {
      (name, token) = (Hello.short(try object.text(.name)), try object.text(.token))
      (session, epoch) = (Hello.short(try object.text(.session)), Hello.short(try object.text(.epoch)))
      (after, history) = (try object.number(.after), try object.number(.history))
    }

    /// Returns the text; "" if it is longer than any name, session or epoch. An event may be stored until its room opens.
    private static func short(_ text: String?) -> String? { text.map { $0.utf8.count <= 8 << 10 ? $0 : "" } }
  }

  /// A JSON member of the wrong type becomes nil, so that the error can still contain the tag.
  struct Say {
    let tag: String?
    let text: String?
  }

  struct HistoryRequest {
    let before: Int?
    let after: Int?
    let count: Int?
  }

  struct Rename {
    let name: String
  }

  struct Edit {
    let id: Int
    let text: String
  }

  struct Remove {
    let id: Int
  }

  enum Key: Int, CaseIterable {
    case type, name, session, epoch, after, history, tag, text, before, count, ref, id, token, room
    case member, `for`, reason, restriction

    static let all = allCases.map { Array("\($0)".utf8) }
  }

  /// Returns the maximum size of a valid event in bytes, for texts of at most `limit` characters.
  ///
  /// A character has at most 16 bytes of UTF-8 on average. As `\u` escapes, ASCII characters take six bytes each,
  /// others three for each byte of UTF-8. The rest is for the other members.
  static func maxBytes(textLimit limit: Int) -> Int {
    limit * 3 * (Text.maxBytesPerCharacter + 1) + maxOtherBytes
  }

  /// A name of 1 KiB takes 6 KiB as escapes. Session, epoch and tag have at most 64 bytes.
  private static let maxOtherBytes = 8 << 10

  /// JSON members that any event may have.
  struct Head {
    /// Identifier of the event, if it is a valid tag, so that errors about the event can return it.
    var ref: String?
    /// The room of the event; nil if it has none, which means the room of the path.
    var room: String?

    /// Replaces the path of the room by the room's name. Returns false, and sets no room, if the path is invalid.
    mutating func normalizeRoom(limit: Int) -> Bool {
      guard let path = room else { return true }
      room = path.roomName(limit: limit)
      return room != nil
    }
  }

  /// Parses an event. Nil if it is malformed: invalid JSON, not an object, without a type, or with a member of the
  /// wrong type.
  ///
  /// - Parameter head: set to the event's head.
  init?(_ bytes: [UInt8], _ head: inout Head) {
    guard let object = JSONObject<Key>(bytes, names: Key.all) else { return nil }
    head.ref = (try? object.text(.ref)).flatMap { Tag($0)?.text }
    do throws(WrongJSONType) {
      try self.init(object)
      head.room = try object.text(.room)
    } catch { return nil }
  }

  private init(_ object: JSONObject<Key>) throws(WrongJSONType) {
    func required(_ name: Key) throws(WrongJSONType) -> String {
      guard let text = try object.text(name) else { throw WrongJSONType() }
      return text
    }
    func requiredNumber(_ name: Key) throws(WrongJSONType) -> Int {
      guard let number = try object.number(name) else { throw WrongJSONType() }
      return number
    }
    switch try required(.type) {
    case "hello": self = .hello(try Hello(object))
    case "enter":
      var enter = try Hello(object)
      enter.token = nil
      self = .enter(enter)
    case "leave": self = .leave
    case "say": self = .say(Say(tag: try? object.text(.tag), text: try? object.text(.text)))
    case "typing": self = .typing
    case "history":
      self = .history(
        HistoryRequest(
          before: try object.number(.before), after: try object.number(.after), count: try object.number(.count)))
    case "rename": self = .rename(Rename(name: try required(.name)))
    case "edit": self = .edit(Edit(id: try requiredNumber(.id), text: try required(.text)))
    case "remove": self = .remove(Remove(id: try requiredNumber(.id)))
    case "token": self = .token(try required(.token))
    case let type:
      self =
        try ModeratorEvent.Action(rawValue: type).map { action throws(WrongJSONType) in
          .moderate(try ModeratorEvent(action, object))
        } ?? .unknown(type)
    }
  }

  /// Tag for errors about the event.
  var tag: String? {
    if case .say(let say) = self { say.tag } else { nil }
  }
}

/// The client's own identifier of a message: 1 to 64 of `A` to `Z`, `a` to `z`, `0` to `9`, `_` and `-`.
struct Tag {
  static let maxLength = 64

  let text: String

  init?(_ text: String) {
    guard 1...Tag.maxLength ~= text.utf8.count else { return nil }
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
        continue
      default: return nil
      }
    }
    self.text = text
  }
}
