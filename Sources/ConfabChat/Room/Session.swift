internal import Confab

/// Secret that proves that a new connection belongs to a known member: 24 random bytes, from the server or the client.
///
/// The member is a digest of the session and the room. So every server maps a session to the same member, even if it
/// has not seen the session before. A second session of a member cannot be forged.
struct Session: Sendable {
  /// 48 hexadecimal digits.
  let text: String
  let member: Member
  /// Identifies the session in restrictions.
  let guest: GuestID

  /// Creates a session from the system's random number generator.
  init(in room: String) {
    self.init((0..<3).map { _ in UInt64.random(in: .min ... .max).hexadecimal }.joined(), room)
  }

  /// Parses the form of ``text``.
  init?(_ text: String, in room: String) {
    guard text.utf8.count == 48, let digits = text.hexadecimalDigits else { return nil }
    self.init(digits, room)
  }

  private init(_ text: String, _ room: String) {
    self.text = text
    guest = GuestID(session: text)
    member = Member(bytes: sha256(Array((text + room).utf8)).prefix(Member.byteCount))
  }

  /// Compares all bytes in constant time.
  func isSame(as other: Session) -> Bool {
    zip(text.utf8, other.text.utf8).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
  }
}

extension String {
  /// The digits in lower case; nil if there are other characters.
  fileprivate var hexadecimalDigits: String? {
    let digits = lowercased()
    let isHexadecimal = digits.utf8.allSatisfy { byte in
      UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte || UInt8(ascii: "a")...UInt8(ascii: "f") ~= byte
    }
    return isHexadecimal ? digits : nil
  }
}
