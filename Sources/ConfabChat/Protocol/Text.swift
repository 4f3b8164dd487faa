/// What someone says: 1 to so many characters, not only white space.
struct Text {
  /// A text has at most so many bytes of UTF-8 for each character that it may have: a character can have any number of
  /// accents.
  static let maxBytesPerCharacter = 16

  enum Refusal: Error { case empty, tooLong }

  /// Without control characters, but newlines and tabs.
  let text: String

  /// - Parameter limit: the most characters: grapheme clusters (Unicode Standard Annex 29).
  init(_ text: String, limit: Int) throws(Refusal) {
    let cleaned = text.unicodeScalars.contains(where: \.isUnwanted) ? text.withoutControls : text
    guard cleaned.utf8.count <= limit * Text.maxBytesPerCharacter else { throw .tooLong }
    guard cleaned.utf8.count <= limit || cleaned.count <= limit else { throw .tooLong }
    let isBlank = cleaned.unicodeScalars.allSatisfy {
      $0.properties.isWhitespace || $0.properties.isDefaultIgnorableCodePoint
    }
    guard !isBlank else { throw .empty }
    self.text = cleaned
  }
}

extension String {
  fileprivate var withoutControls: String { String(UnicodeScalarView(unicodeScalars.filter { !$0.isUnwanted })) }
}

extension Unicode.Scalar {
  /// Cc of the Unicode Standard: these ranges for all time.
  fileprivate var isUnwanted: Bool {
    switch value {
    case 0x09, 0x0A: false
    case 0x00..<0x20, 0x7F..<0xA0: true
    default: false
    }
  }
}
