/// Text of a message: 1 to `limit` characters that are not all white space.
struct Text {
  /// Maximum bytes of UTF-8 for each character of the limit, because a character can have any number of accents.
  static let maxBytesPerCharacter = 16

  enum Invalid: Error { case empty, tooLong }

  /// The text without control characters other than newlines and tabs.
  let text: String

  /// - Parameter limit: maximum number of characters, which are grapheme clusters (Unicode Standard Annex 29).
  init(_ text: String, limit: Int) throws(Invalid) {
    let cleaned = text.hasControls ? text.withoutControls : text
    guard cleaned.utf8.count <= limit * Text.maxBytesPerCharacter else { throw .tooLong }
    guard !cleaned.unicodeScalars.allSatisfy(\.isBlank) else { throw .empty }
    // A character has at least one scalar. So most texts need not be split into characters, which is slow.
    guard cleaned.scalarCount <= limit || cleaned.withoutStackedMarks.count <= limit else { throw .tooLong }
    self.text = cleaned
  }
}

extension String {
  /// Whether ``withoutControls`` would remove anything. C1 controls are C2 followed by 80 to 9F in UTF-8.
  fileprivate var hasControls: Bool {
    let bytes = utf8.span
    for index in bytes.indices {
      switch bytes[index] {
      case 0x09, 0x0A: break
      case 0x00..<0x20, 0x7F: return true
      case 0x80..<0xA0 where bytes[index - 1] == 0xC2: return true
      default: break
      }
    }
    return false
  }

  fileprivate var scalarCount: Int {
    let bytes = utf8.span
    var count = 0
    for index in bytes.indices where bytes[index] & 0xC0 != 0x80 { count += 1 }
    return count
  }

  /// The text without two-byte marks that follow other two-byte marks. The number of characters does not change,
  /// because a mark never begins a character (rule GB9). Long sequences of these marks make splitting into characters
  /// slow.
  var withoutStackedMarks: String {
    let bytes = utf8.span
    var rest: [UInt8] = []
    rest.reserveCapacity(bytes.count)
    var isBehindMark = false
    var index = 0
    while index < bytes.count {
      let byte = bytes[index]
      guard 0xC0..<0xE0 ~= byte else {
        rest.append(byte)
        isBehindMark = false
        index += 1
        continue
      }
      let isMark = Unicode.Scalar.marks[Int(byte & 0x1F) << 6 | Int(bytes[index + 1] & 0x3F)]
      if !isMark || !isBehindMark {
        rest.append(byte)
        rest.append(bytes[index + 1])
      }
      isBehindMark = isMark
      index += 2
    }
    return String(decoding: rest, as: UTF8.self)
  }

  fileprivate var withoutControls: String { String(UnicodeScalarView(unicodeScalars.filter { !$0.isUnwanted })) }
}

extension Unicode.Scalar {
  /// Whether each scalar with at most two bytes of UTF-8 is Grapheme_Extend.
  fileprivate static let marks = (UInt32(0)..<0x800).map {
    Unicode.Scalar($0)?.properties.isGraphemeExtend ?? false
  }

  /// Whether the scalar is Cc of the Unicode Standard other than newline and tab. These ranges are stable.
  fileprivate var isUnwanted: Bool {
    switch value {
    case 0x09, 0x0A: false
    case 0x00..<0x20, 0x7F..<0xA0: true
    default: false
    }
  }

  /// Whether the scalar is White_Space or Default_Ignorable_Code_Point of the Unicode Standard. Looking up these
  /// properties for each scalar of a long blank text takes milliseconds.
  var isBlank: Bool {
    switch value {
    case 0x09...0x0D, 0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028...0x2029, 0x202F, 0x205F, 0x3000: true
    case 0xAD, 0x34F, 0x61C, 0x115F...0x1160, 0x17B4...0x17B5, 0x180B...0x180F, 0x200B...0x200F, 0x202A...0x202E,
      0x2060...0x206F, 0x3164, 0xFE00...0xFE0F, 0xFEFF, 0xFFA0, 0xFFF0...0xFFF8, 0x1BCA0...0x1BCA3,
      0x1D173...0x1D17A, 0xE0000...0xE0FFF:
      true
    default: false
    }
  }
}
