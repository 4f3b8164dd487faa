/// Public identity of a client of the rich protocol. It stays as long as the client keeps its session, across
/// connections, servers and names.
public struct Member: Sendable, Hashable {
  /// Opaque number.
  public let number: UInt64

  /// Creates a member from its number.
  public init(number: UInt64) { self.number = number }

  /// Parses the form of ``text``; nil if it is malformed.
  public init?(_ text: String) {
    guard text.utf8.count == 16, let number = UInt64(hexadecimal: text[...]) else { return nil }
    self.number = number
  }

  /// 16 hexadecimal digits.
  public var text: String { number.hexadecimal }
}

// The bytes of a member in a history.
extension Member {
  static let byteCount = 8

  var bytes: [UInt8] {
    stride(from: UInt64(56), through: 0, by: -8).map { UInt8(truncatingIfNeeded: number >> $0) }
  }

  init(bytes: ArraySlice<UInt8>) { number = bytes.reduce(0) { $0 << 8 | UInt64($1) } }
}

/// A tag with its member. Tags are unique per member only.
struct MemberTag: Hashable {
  let member: Member
  let tag: String

  /// Nil if the tag or the member is nil.
  init?(_ member: Member?, _ tag: String?) {
    guard let member, let tag else { return nil }
    (self.member, self.tag) = (member, tag)
  }

  init(member: Member, tag: String) { (self.member, self.tag) = (member, tag) }
}

extension UInt64 {
  package var hexadecimal: String {
    let digits = String(self, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  /// Nil if there are characters other than digits, such as a sign.
  init?(hexadecimal text: Substring) {
    guard text.utf8.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }) else { return nil }
    self.init(text, radix: 16)
  }
}
