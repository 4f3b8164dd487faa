internal import Confab

/// What proves that a new connection is a member who was there before: 24 random bytes, the server's or the client's own.
///
/// The member follows from the session and the room, by a digest. So every server takes a session for the same member,
/// whether or not it has seen it before, and nobody can make another session of that member.
struct Session: Sendable {
  /// 48 hexadecimal digits.
  let text: String
  let member: Member

  /// A new one, from the system's source of random numbers.
  init(in room: String) {
    self.init((0..<3).map { _ in UInt64.random(in: .min ... .max).hexadecimal }.joined(), room)
  }

  /// Reads what ``text`` has written.
  init?(_ text: String, in room: String) {
    guard text.utf8.count == 48, let digits = text.hexadecimalDigits else { return nil }
    self.init(digits, room)
  }

  private init(_ text: String, _ room: String) {
    self.text = text
    member = Member(bytes: sha256(Array((text + room).utf8)).prefix(Member.byteCount))
  }

  /// Compares all of it, so that the time it takes tells nothing.
  func isSame(as other: Session) -> Bool {
    zip(text.utf8, other.text.utf8).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
  }
}

extension String {
  /// In lower case; nil if there is anything else.
  fileprivate var hexadecimalDigits: String? {
    let digits = lowercased()
    let isHexadecimal = digits.utf8.allSatisfy { byte in
      UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte || UInt8(ascii: "a")...UInt8(ascii: "f") ~= byte
    }
    return isHexadecimal ? digits : nil
  }
}
