internal import Confab
internal import FoundationEssentials

/// What a client of the rich protocol sends.
enum ClientEvent: Decodable {
  case hello(Hello)
  case say(Say)
  case typing
  case history(HistoryRequest)
  case rename(Rename)
  case unknown(String)

  struct Hello: Decodable {
    let name: String
    let session: String?
    let epoch: String?
    let after: Int?
    let history: Int?
  }

  /// Both are there, if they are what they should be, so that an error can have the tag.
  struct Say: Decodable {
    let tag: String?
    let text: String?

    private enum Key: CodingKey { case tag, text }

    init(from decoder: any Decoder) throws {
      let members = try decoder.container(keyedBy: Key.self)
      tag = try? members.decode(String.self, forKey: .tag)
      text = try? members.decode(String.self, forKey: .text)
    }
  }

  struct HistoryRequest: Decodable {
    let before: Int?
    let after: Int?
    let count: Int?
  }

  struct Rename: Decodable {
    let name: String
  }

  private enum Key: CodingKey { case type }

  init(from decoder: any Decoder) throws {
    let type = try decoder.container(keyedBy: Key.self).decode(String.self, forKey: .type)
    switch type {
    case "hello": self = .hello(try Hello(from: decoder))
    case "say": self = .say(try Say(from: decoder))
    case "typing": self = .typing
    case "history": self = .history(try HistoryRequest(from: decoder))
    case "rename": self = .rename(try Rename(from: decoder))
    default: self = .unknown(type)
    }
  }

  private static let decoder = JSONDecoder()

  /// Nil when it is malformed: no JSON, no object, no type, or a member that is none.
  init?(_ bytes: [UInt8]) {
    guard let event = try? ClientEvent.decoder.decode(ClientEvent.self, from: Data(bytes)) else { return nil }
    self = event
  }

  /// The tag, for the answer.
  var tag: String? {
    if case .say(let say) = self { say.tag } else { nil }
  }
}

/// What a client calls a message of its own: 1 to 64 of `A` to `Z`, `a` to `z`, `0` to `9`, `_` and `-`.
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
