/// A member's name in a room.
///
/// The text is in Unicode NFC and trimmed, with single spaces between words. Names with the same ``key`` must not be in
/// a room together.
struct Name: Hashable, Sendable {
  /// Maximum value of ``ChatOptions/maxNameLength``.
  static let greatestLimit = 256
  /// Maximum bytes of UTF-8 for each character of the limit, because a character can have any number of accents.
  private static let bytesPerCharacter = 4
  /// Maximum size of a name in bytes, for the greatest limit.
  static let maxBytes = bytesPerCharacter * greatestLimit

  let text: String
  /// Key shared by all names that differ only in case, invisible characters, or compatibility forms such as full width.
  let key: String
  /// Maximum length in characters, which are grapheme clusters (Unicode Standard Annex 29).
  private let limit: Int

  /// Normalizes a name. Nil if it is too long, has no visible characters, or has characters that could deceive or
  /// cannot be displayed: control, format, unassigned and private-use characters.
  init?(_ text: String, limit: Int) {
    // Bounds the work below. Only an absurd amount of white space could make a valid name longer.
    guard text.utf8.count <= Name.bytesPerCharacter * Name.greatestLimit else { return nil }
    let words = text.unicodeScalars.split(whereSeparator: \.properties.isWhitespace).map { String($0) }
    let composed = words.joined(separator: " ").composed
    guard 1...limit ~= composed.count, composed.utf8.count <= Name.bytesPerCharacter * limit else { return nil }
    guard let first = composed.unicodeScalars.first, !first.isMark else { return nil }
    guard composed.allSatisfy(\.mayBeInName) else { return nil }
    self.limit = limit
    self.text = composed
    key = composed.folded
  }

  static func == (one: Name, other: Name) -> Bool { one.text == other.text }
  func hash(into hasher: inout Hasher) { hasher.combine(text) }

  /// Returns the name with `number` in place of a number at its end, shortened to the limit; nil if that is
  /// impossible.
  func numbered(_ number: Int) -> Name? {
    let digits = "\(number)"
    var base = text
    while base.count > 1, let last = base.unicodeScalars.last, "0"..."9" ~= last { base.removeLast() }
    while base.count + digits.count > limit || base.utf8.count + digits.count > Name.bytesPerCharacter * limit {
      if base.count == 1 { return nil }
      base.removeLast()
    }
    return Name(base + digits, limit: limit)
  }
}

extension Unicode.Scalar {
  fileprivate var isMark: Bool {
    switch properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark: true
    default: false
    }
  }

  /// Whether the glyph is blank, although Unicode classifies it as a symbol or letter: the braille pattern without
  /// dots, the null note head, Egyptian blanks.
  fileprivate var isBlankGlyph: Bool { ["\u{2800}", "\u{1D159}", "\u{13441}", "\u{13442}"].contains(self) }
}

extension Character {
  /// Whether a name may contain the character.
  fileprivate var mayBeInName: Bool {
    let isEmoji = unicodeScalars.first.map { $0.properties.isEmoji && !$0.isASCII } ?? false
    var previous: Unicode.Scalar?
    for scalar in unicodeScalars {
      defer { previous = scalar }
      switch scalar.properties.generalCategory {
      case .control, .surrogate, .unassigned, .privateUse, .lineSeparator, .paragraphSeparator: return false
      case _ where scalar.isBlankGlyph: return false
      case _ where !scalar.properties.isDefaultIgnorableCodePoint && scalar.properties.generalCategory != .format:
        continue
      default: break
      }
      // Invisible scalars are allowed only where they change the character before them.
      guard let previous else { return false }
      switch scalar {
      case "\u{200C}": continue
      case "\u{200D}" where isEmoji || previous.properties.canonicalCombiningClass == .virama: continue
      default: if !scalar.properties.isVariationSelector { return false }
      }
    }
    return true
  }
}
