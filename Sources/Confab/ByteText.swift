// Text from peers, proxies and files is split and compared by bytes. Swift's own `split`, `contains`, `hasPrefix` and
// `==` for strings work on characters: a combining mark after a separator hides it, and different bytes can be equal.

extension StringProtocol {
  /// Returns the parts between the separators, an ASCII character, including empty parts.
  package func parts(separatedBy separator: Unicode.Scalar, maxSplits: Int = .max) -> [Substring] {
    Substring(self).utf8.split(
      separator: UInt8(ascii: separator), maxSplits: maxSplits, omittingEmptySubsequences: false
    ).map { Substring($0) }
  }

  /// Returns whether both texts have the same bytes.
  package func isSame(as other: some StringProtocol) -> Bool { utf8.elementsEqual(other.utf8) }

  /// Returns whether both texts have the same bytes, except for the case of ASCII letters. `lowercased()` would turn U+212A,
  /// the Kelvin sign, into an ASCII k.
  func isSame(inAnyCaseAs other: some StringProtocol) -> Bool {
    utf8.elementsEqual(other.utf8) { $0.asciiLowercased == $1.asciiLowercased }
  }

  /// Returns whether the text begins with these bytes.
  package func begins(with start: some StringProtocol) -> Bool { utf8.starts(with: start.utf8) }

  /// Returns whether the text ends with these bytes.
  package func ends(with end: some StringProtocol) -> Bool { utf8.suffix(end.utf8.count).elementsEqual(end.utf8) }

  /// The text without leading and trailing spaces and tabs.
  package var trimmed: Substring {
    func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
    var bytes = Substring(self).utf8.drop(while: isBlank)
    while let last = bytes.last, isBlank(last) { bytes.removeLast() }
    return Substring(bytes)
  }
}

/// A text as a key, which is equal to the same bytes only.
package struct ByteKey: Hashable, Sendable {
  package let text: String

  package init(_ text: String) { self.text = text }

  package static func == (one: ByteKey, other: ByteKey) -> Bool { one.text.isSame(as: other.text) }

  package func hash(into hasher: inout Hasher) { hasher.combine(text) }
}

extension String {
  /// The elements of a comma-separated list (RFC 9110, section 5.6.1), without empty ones.
  var listElements: [Substring] {
    parts(separatedBy: ",").map(\.trimmed).filter { !$0.isEmpty }
  }

  /// Returns whether the text contains these bytes.
  package func hasBytes(_ text: some StringProtocol) -> Bool {
    let wanted = Array(text.utf8)
    let bytes = Array(utf8)
    guard bytes.count >= wanted.count else { return false }
    return (0...bytes.count - wanted.count).contains { bytes[$0..<$0 + wanted.count].elementsEqual(wanted) }
  }
}

extension String {
  /// Returns the longest prefix of complete characters with at most `count` bytes of UTF-8.
  func prefix(utf8Count count: Int) -> Substring {
    guard utf8.count > count else { return self[...] }
    var end = startIndex
    var next = end
    while next < endIndex, utf8.distance(from: startIndex, to: index(after: next)) <= count {
      next = index(after: next)
      end = next
    }
    return self[..<end]
  }
}
