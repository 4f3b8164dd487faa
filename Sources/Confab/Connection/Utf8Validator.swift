/// An incremental validator for UTF-8 (RFC 3629). A piece may end inside a character.
struct Utf8Validator {
  /// Missing bytes of the current character.
  private var needed: UInt8 = 0
  /// Range of its next byte.
  private var low: UInt8 = 0x80
  private var high: UInt8 = 0xBF

  /// Whether the text so far ends with a complete character.
  var isComplete: Bool { needed == 0 }

  /// Returns whether a complete text is valid.
  static func isValid(_ text: Span<UInt8>) -> Bool {
    // Most texts are pure ASCII.
    let end = text.endOfAscii(from: 0)
    if end == text.count { return true }
    var rest = Utf8Validator()
    return rest.accept(text.extracting(end..<text.count)) && rest.isComplete
  }

  /// Adds a piece. Returns whether the text so far is the beginning of valid UTF-8.
  mutating func accept(_ piece: Span<UInt8>) -> Bool {
    var index = 0
    while index < piece.count {
      if needed == 0 {
        index = piece.endOfAscii(from: index)
        guard index < piece.count else { return true }
        guard begin(piece[index]) else { return false }
      } else {
        guard low...high ~= piece[index] else { return false }
        (low, high) = (0x80, 0xBF)
        needed -= 1
      }
      index += 1
    }
    return true
  }

  /// Reads the first byte of a non-ASCII character (table of RFC 3629, section 4).
  private mutating func begin(_ byte: UInt8) -> Bool {
    switch byte {
    case 0xC2...0xDF: needed = 1
    case 0xE0: (needed, low) = (2, 0xA0)
    case 0xED: (needed, high) = (2, 0x9F)
    case 0xE1...0xEF: needed = 2
    case 0xF0: (needed, low) = (3, 0x90)
    case 0xF4: (needed, high) = (3, 0x8F)
    case 0xF1...0xF3: needed = 3
    default: return false
    }
    return true
  }
}
