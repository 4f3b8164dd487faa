internal import Confab
internal import ConfabChat

/// A message of the stream, as a consumer sends it.
struct Delivery {
  /// Its name.
  let consumer: Substring
  /// How many the consumer has sent with it.
  let number: Int
  /// How many there are behind it.
  let pending: Int
  let post: PlacedPost
  /// When the stream has stored it: nanoseconds since 1970.
  let time: Int64
  /// What the one who published it knows it by.
  let id: String?
}

extension Delivery {
  /// Nil if it is none, or has numbers that no stream has.
  init?(_ message: NatsMessage) {
    // $JS.ACK.<stream>.<consumer>.<times>.<in stream>.<in consumer>.<nanoseconds>.<pending>, and newer servers have a
    // domain and an account before the stream.
    let tokens = message.reply.parts(separatedBy: ".")
    let first = tokens.count == 9 ? 5 : 7
    guard tokens.count >= 9, tokens.count > first + 3, tokens[1] == "ACK", let id = Int(tokens[first]),
      let number = Int(tokens[first + 1]), let nanoseconds = Int64(tokens[first + 2]),
      let pending = Int(tokens[first + 3]), Place.ids.contains(id), Place.times.contains(nanoseconds / 1_000_000),
      Delivery.counts.contains(number), Delivery.counts.contains(pending)
    else { return nil }
    let place = Place(id: id, at: nanoseconds / 1_000_000)
    self.init(
      consumer: tokens[first - 2], number: number, pending: pending, post: PlacedPost(Post(message), at: place),
      time: nanoseconds, id: message.headers[Delivery.idHeader])
  }

  /// Counts of messages that a stream can have.
  private static let counts = 0...Place.ids.upperBound

  static let idHeader = "Nats-Msg-Id"
}

extension Post {
  private static let kindHeader = "Confab-Kind"
  private static let nameHeader = "Confab-Name"
  private static let memberHeader = "Confab-Member"
  private static let tagHeader = "Confab-Tag"

  /// `Nats-Msg-Id` of a message with a tag, the same one at each server, so that a client can say the message again.
  /// Another text has another id, even with a tag that has been used before. Nil if there is no tag.
  func id(in subject: String) -> String? {
    guard let member, let tag else { return nil }
    let digest = sha256(bytes).prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    return "\(subject)/\(member.text)/\(tag)/\(digest.hexadecimal)"
  }

  /// What it is stored with, beside its bytes.
  func headers(id: String) -> [(String, String)] {
    var headers = [(Delivery.idHeader, id), (Post.kindHeader, kind == .text ? "text" : "binary")]
    if let name { headers.append((Post.nameHeader, Subject.escaped(name))) }
    if let member { headers.append((Post.memberHeader, member.text)) }
    if let tag { headers.append((Post.tagHeader, tag)) }
    return headers
  }

  /// Others than servers of the chat may publish, too: text, if it is.
  fileprivate init(_ message: NatsMessage) {
    let isText =
      message.headers[Post.kindHeader].map { $0 == "text" } ?? (String(validating: message.bytes, as: UTF8.self) != nil)
    self.init(
      kind: isText ? .text : .binary, bytes: message.bytes,
      name: message.headers[Post.nameHeader].map(Subject.unescaped),
      member: message.headers[Post.memberHeader].flatMap { Member($0) }, tag: message.headers[Post.tagHeader])
  }
}
