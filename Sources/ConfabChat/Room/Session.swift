internal import Confab

/// What proves that a new connection is a member who was there before: the member's number, and a secret that cannot be
/// guessed.
///
/// The number follows from the secret and the room. So a server that has never seen the session, or has forgotten it, can
/// tell that it is genuine: without the secret there is no session of another member's number.
struct Session: Sendable {
  let member: Member
  private let secret: String

  /// A new one, from the system's source of random numbers.
  init(in room: String) {
    secret = UInt64.random(in: .min ... .max).hexadecimal + UInt64.random(in: .min ... .max).hexadecimal
    member = Session.member(of: secret, in: room)
  }

  /// What a client sends: what ``text`` has written, or a secret of its own, 32 hexadecimal digits.
  init?(_ text: String, in room: String) {
    if text.utf8.count == 32, let secret = Session.secret(text.utf8) {
      (self.secret, member) = (secret, Session.member(of: secret, in: room))
    } else if let session = Session(text) {
      self = session
    } else {
      return nil
    }
  }

  /// Reads what ``text`` has written.
  init?(_ text: String) {
    guard text.utf8.count == 48, let member = Member(String(text.prefix(16))) else { return nil }
    guard let secret = Session.secret(text.utf8.dropFirst(16)) else { return nil }
    (self.member, self.secret) = (member, secret)
  }

  /// 32 hexadecimal digits, as small letters; nil for anything else.
  private static func secret(_ bytes: some Collection<UInt8>) -> String? {
    let text = String(decoding: bytes, as: UTF8.self)
    guard bytes.count == 32, bytes.allSatisfy({ $0 < 0x80 }), let first = UInt64(hexadecimal: text.prefix(16)),
      let second = UInt64(hexadecimal: text.dropFirst(16))
    else { return nil }
    return first.hexadecimal + second.hexadecimal
  }

  /// 48 hexadecimal digits.
  var text: String { member.text + secret }

  /// Whether a server has made it for that room, this one or another. Sessions of older versions are not genuine.
  func isGenuine(in room: String) -> Bool { member == Session.member(of: secret, in: room) }

  /// Compares all of the secret, so that the time it takes tells nothing.
  func isSame(as other: Session) -> Bool {
    zip(text.utf8, other.text.utf8).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
  }

  private static func member(of secret: String, in room: String) -> Member {
    Member(bytes: sha256(Array((secret + room).utf8)).prefix(Member.byteCount))
  }
}
