/// A client of the rich protocol, as everyone may know it: the same one for as long as it keeps its session, whichever
/// connection, server or name it has.
public struct Member: Sendable, Hashable {
  /// The number, which means nothing by itself.
  public let number: UInt64

  /// The member of that number.
  public init(number: UInt64) { self.number = number }

  /// Reads what ``text`` has written; nil if it has not.
  public init?(_ text: String) {
    guard text.utf8.count == 16, let number = UInt64(hexadecimal: text[...]) else { return nil }
    self.number = number
  }

  /// 16 hexadecimal digits.
  public var text: String { number.hexadecimal }
}

// As a history has it.
extension Member {
  static let byteCount = 8

  var bytes: [UInt8] {
    stride(from: UInt64(56), through: 0, by: -8).map { UInt8(truncatingIfNeeded: number >> $0) }
  }

  init(bytes: ArraySlice<UInt8>) { number = bytes.reduce(0) { $0 << 8 | UInt64($1) } }
}

/// A tag is its member's: another member's is another one.
struct MemberTag: Hashable {
  let member: Member
  let tag: String

  /// Nil if there is no tag, or nobody whose it is.
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

  /// Nil if there is anything but digits, a sign say.
  init?(hexadecimal text: Substring) {
    guard text.utf8.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }) else { return nil }
    self.init(text, radix: 16)
  }
}
