/// The validators of a file, which change when the file does (RFC 9110, section 8.8).
struct Validators: Sendable {
  /// The entity tag without its quotes. It has no comma.
  let tag: String
  let modified: HttpDate

  var entityTag: String { "\"\(tag)\"" }

  /// Header lines of each response with the file.
  var lines: [String] {
    ["Date: \(HttpDate.now.text)", "ETag: \(entityTag)", "Last-Modified: \(modified.text)"]
  }

  enum Precondition { case passed, notModified, failed }

  /// Evaluates the preconditions of a request (RFC 9110, section 13.2.2).
  func evaluate(_ fields: HeaderFields) -> Precondition {
    if let tags = fields["if-match"] {
      guard matches(tags, isWeak: false) else { return .failed }
    } else if let date = fields["if-unmodified-since"].flatMap(HttpDate.init), modified.seconds > date.seconds {
      return .failed
    }
    if let tags = fields["if-none-match"] { return matches(tags, isWeak: true) ? .notModified : .passed }
    let date = fields["if-modified-since"].flatMap(HttpDate.init)
    return date.map { modified.seconds <= $0.seconds } == true ? .notModified : .passed
  }

  /// Returns whether the tag is in a list. A tag that a proxy has put in quotes again counts, too.
  private func matches(_ list: String, isWeak: Bool) -> Bool {
    list.listElements.contains { element in
      if element == "*" { return true }
      var bytes = element.utf8
      if bytes.starts(with: "W/".utf8) {
        guard isWeak else { return false }
        bytes = bytes.dropFirst(2)
      }
      while bytes.first == UInt8(ascii: "\"") { bytes = bytes.dropFirst() }
      while bytes.last == UInt8(ascii: "\"") { bytes = bytes.dropLast() }
      return bytes.elementsEqual(tag.utf8)
    }
  }
}
