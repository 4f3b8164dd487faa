// Text from peers, proxies and files is taken apart by bytes. Swift's own `split`, `contains`, `hasPrefix` and `==` of
// strings work on characters: a combining mark behind a separator hides it, and different bytes can be equal.

extension StringProtocol {
  /// The parts between the bytes that are `separator`, an ASCII character, empty ones included.
  package func parts(separatedBy separator: Unicode.Scalar, maxSplits: Int = .max) -> [Substring] {
    Substring(self).utf8.split(
      separator: UInt8(ascii: separator), maxSplits: maxSplits, omittingEmptySubsequences: false
    ).map { Substring($0) }
  }

  /// Whether the bytes are the same.
  package func isSame(as other: some StringProtocol) -> Bool { utf8.elementsEqual(other.utf8) }

  /// Whether its first bytes are these.
  package func begins(with start: some StringProtocol) -> Bool { utf8.starts(with: start.utf8) }

  /// Whether its last bytes are these.
  package func ends(with end: some StringProtocol) -> Bool { utf8.suffix(end.utf8.count).elementsEqual(end.utf8) }

  /// Without spaces and tabs around it.
  package var trimmed: Substring {
    func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
    var bytes = Substring(self).utf8.drop(while: isBlank)
    while let last = bytes.last, isBlank(last) { bytes.removeLast() }
    return Substring(bytes)
  }
}

extension String {
  /// The elements of a comma-separated list, RFC 9110, section 5.6.1. Empty ones do not count.
  var listElements: [Substring] {
    parts(separatedBy: ",").map(\.trimmed).filter { !$0.isEmpty }
  }

  /// Whether these bytes are in it.
  package func hasBytes(_ text: some StringProtocol) -> Bool {
    let wanted = Array(text.utf8)
    let bytes = Array(utf8)
    guard bytes.count >= wanted.count else { return false }
    return (0...bytes.count - wanted.count).contains { bytes[$0..<$0 + wanted.count].elementsEqual(wanted) }
  }
}
