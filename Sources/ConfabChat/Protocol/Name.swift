/// What someone is called in a room.
///
/// It is in Unicode's NFC, without white space at its ends, and with single spaces within. Names that look the same must
/// not be in a room together, see ``key``.
struct Name: Hashable, Sendable {
  /// What ``ChatOptions/maxNameLength`` may be at the most.
  static let greatestLimit = 256
  /// A character may have any number of accents: so many bytes of UTF-8 for each that a name may have.
  private static let bytesPerCharacter = 4
  /// The most bytes of a name, whatever the limit of its characters.
  static let maxBytes = bytesPerCharacter * greatestLimit

  let text: String
  /// The same for names that differ in case, in what cannot be seen, or in their form, such as full width.
  let key: String
  /// The most characters, grapheme clusters (Unicode Standard Annex 29), that it may have.
  private let limit: Int

  /// Nil when there is nothing to be seen of it, when it is too long, or when it has what could deceive or not be
  /// shown: control and format characters, unassigned and private ones.
  init?(_ text: String, limit: Int) {
    // More than white space at its ends accounts for; the rest of the work is bounded then.
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

  /// The name with a number in place of the one at its end, cut so that it is not too long; nil if there is none such.
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

  /// Whether its glyph is empty, though Unicode calls it a symbol or a letter: the braille pattern without dots, the null
  /// note head, Egyptian blanks.
  fileprivate var isBlankGlyph: Bool { ["\u{2800}", "\u{1D159}", "\u{13441}", "\u{13442}"].contains(self) }
}

extension Character {
  /// Whether it may be in a name.
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
      // What is not seen by itself, but makes a difference behind something else.
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
