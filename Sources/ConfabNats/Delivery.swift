internal import Confab
internal import ConfabChat

/// A message of the stream, as a consumer delivers it. The message's offset in its room is its sequence number in the
/// stream.
struct Delivery {
  /// Name of the consumer.
  let consumer: Substring
  /// Number of messages that the consumer has sent, including this one.
  let number: Int
  /// Number of messages after this one in the stream.
  let pending: Int
  let publication: Publication
  /// Time at which the stream stored the message: nanoseconds since 1970.
  let time: Int64
  /// The publisher's identifier of the message, `Nats-Msg-Id`.
  let id: String?
}

extension Delivery {
  /// Reads the numbers of a delivery from its reply subject. Nil if the message is not a delivery, or has numbers that
  /// streams never use.
  init?(_ message: NatsMessage) {
    // $JS.ACK.<stream>.<consumer>.<times>.<in stream>.<in consumer>.<nanoseconds>.<pending>, and newer servers have a
    // domain and an account before the stream.
    let tokens = message.reply.parts(separatedBy: ".")
    let first = tokens.count == 9 ? 5 : 7
    guard tokens.count >= 9, tokens.count > first + 3, tokens[1] == "ACK", let id = Int(tokens[first]),
      let number = Int(tokens[first + 1]), let nanoseconds = Int64(tokens[first + 2]),
      let pending = Int(tokens[first + 3]), Position.offsets.contains(id),
      Position.times.contains(nanoseconds / 1_000_000),
      Delivery.counts.contains(number), Delivery.counts.contains(pending)
    else { return nil }
    let position = Position(offset: id, time: nanoseconds / 1_000_000)
    self.init(
      consumer: tokens[first - 2], number: number, pending: pending,
      publication: Publication(Draft(message, before: id), at: position),
      time: nanoseconds, id: message.headers[Delivery.idHeader])
  }

  /// Counts of messages that a stream can have.
  private static let counts = 0...Position.offsets.upperBound

  static let idHeader = "Nats-Msg-Id"
}

extension Draft {
  private static let kindHeader = "Confab-Kind"
  private static let nameHeader = "Confab-Name"
  private static let memberHeader = "Confab-Member"
  private static let tagHeader = "Confab-Tag"
  private static let editHeader = "Confab-Edit"
  private static let removalHeader = "Confab-Removal"

  /// Returns the `Nats-Msg-Id` of a message with a tag; nil without a tag. The id is equal on all servers, so that a
  /// client can send the message again. A different text has a different id, even if its tag was used before.
  func id(in subject: String) -> String? {
    guard let member, let tag else { return nil }
    let digest = sha256(bytes).prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    return "\(subject)/\(member.text)/\(tag)/\(digest.hexadecimal)"
  }

  /// Returns the headers of the stored message.
  func headers(id: String) -> [(String, String)] {
    var headers = [(Delivery.idHeader, id), (Draft.kindHeader, kind == .text ? "text" : "binary")]
    if let name { headers.append((Draft.nameHeader, Subject.escaped(name))) }
    if let member { headers.append((Draft.memberHeader, member.text)) }
    if let tag { headers.append((Draft.tagHeader, tag)) }
    switch entry {
    case .message: break
    case .edit(let offset): headers.append((Draft.editHeader, "\(offset)"))
    case .removal(let offset): headers.append((Draft.removalHeader, "\(offset)"))
    }
    return headers
  }

  /// Returns the kind of a stored message. A change of a message that is not earlier in the stream counts as a message.
  private static func entry(_ message: NatsMessage, before end: Int) -> EntryKind {
    func offset(_ header: String) -> Int? {
      message.headers[header].flatMap { Int($0) }.flatMap { 1..<end ~= $0 ? $0 : nil }
    }
    if let offset = offset(editHeader) { return .edit(of: offset) }
    return offset(removalHeader).map { .removal(of: $0) } ?? .message
  }

  /// Parses a stored message. Programs other than the chat's servers may publish too; their valid UTF-8 becomes text.
  fileprivate init(_ message: NatsMessage, before offset: Int) {
    let isText =
      message.headers[Draft.kindHeader].map { $0 == "text" }
      ?? (String(validating: message.bytes, as: UTF8.self) != nil)
    self.init(
      Draft.entry(message, before: offset), kind: isText ? .text : .binary, bytes: message.bytes,
      name: message.headers[Draft.nameHeader].map(Subject.unescaped),
      member: message.headers[Draft.memberHeader].flatMap { Member($0) }, tag: message.headers[Draft.tagHeader])
  }
}
