internal import Confab

/// Writes a JSON object (RFC 8259) in UTF-8.
package struct JSONWriter {
  private var bytes: [UInt8] = [UInt8(ascii: "{")]

  package init() {}

  /// Returns the object with all its members.
  package consuming func end() -> [UInt8] {
    bytes.append(UInt8(ascii: "}"))
    return bytes
  }

  private mutating func begin(_ name: String) {
    if bytes.last != UInt8(ascii: "{") { bytes.append(UInt8(ascii: ",")) }
    append(name)
    bytes.append(UInt8(ascii: ":"))
  }

  // Nil members are omitted.

  package mutating func member(_ name: String, _ text: String?) {
    guard let text else { return }
    begin(name)
    append(text)
  }

  /// Writes the beginning of a text, in at most `limit` bytes. Returns whether the whole text was written.
  mutating func member(_ name: String, _ text: String, limit: Int) -> Bool {
    begin(name)
    return append(text, limit: limit)
  }

  package mutating func member(_ name: String, _ number: Int?) {
    guard let number else { return }
    begin(name)
    bytes += "\(number)".utf8
  }

  mutating func member(_ name: String, _ flag: Bool) {
    begin(name)
    bytes += (flag ? "true" : "false").utf8
  }

  package mutating func member(_ name: String, _ texts: [String]) {
    begin(name)
    array(texts) { $0.append($1) }
  }

  mutating func member(_ name: String, _ lists: [[String]]) {
    begin(name)
    array(lists) { writer, texts in writer.array(texts) { $0.append($1) } }
  }

  /// Writes an array of elements that are already JSON.
  mutating func member(_ name: String, json elements: [ArraySlice<UInt8>]) {
    begin(name)
    bytes.reserveCapacity(bytes.count + elements.reduce(0) { $0 + $1.count + 1 } + 1024)
    array(elements) { $0.bytes += $1 }
  }

  mutating func member(_ name: String, object: (inout JSONWriter) -> Void) {
    begin(name)
    bytes.append(UInt8(ascii: "{"))
    object(&self)
    bytes.append(UInt8(ascii: "}"))
  }

  private mutating func array<Element>(_ elements: [Element], _ write: (inout JSONWriter, Element) -> Void) {
    bytes.append(UInt8(ascii: "["))
    for (index, element) in elements.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      write(&self, element)
    }
    bytes.append(UInt8(ascii: "]"))
  }

  // MARK: Text

  @discardableResult
  private mutating func append(_ text: String, limit: Int = .max) -> Bool {
    let span = text.utf8.span
    let end = JSONWriter.end(of: span, limit: limit)
    bytes.append(UInt8(ascii: "\""))
    var start = 0
    for index in 0..<end where JSONWriter.size(span[index]) > 1 {
      bytes.append(span.extracting(start..<index))
      escape(span[index])
      start = index + 1
    }
    bytes.append(span.extracting(start..<end))
    bytes.append(UInt8(ascii: "\""))
    return end == span.count
  }

  /// Returns the end of the longest prefix of whole scalars that takes at most `limit` bytes.
  private static func end(of text: Span<UInt8>, limit: Int) -> Int {
    if text.count <= limit / 6 { return text.count }
    var (end, size) = (0, 0)
    while end < text.count {
      size += JSONWriter.size(text[end])
      if size > limit { break }
      end += 1
    }
    // Moves back to the boundary of a scalar.
    while end < text.count, end > 0, text[end] & 0xC0 == 0x80 { end -= 1 }
    return end
  }

  /// Returns the number of bytes that a byte of text takes in JSON.
  private static func size(_ byte: UInt8) -> Int {
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), 0x08, 0x09, 0x0A, 0x0C, 0x0D: 2
    case 0x00..<0x20: 6
    default: 1
    }
  }

  private mutating func escape(_ byte: UInt8) {
    bytes.append(UInt8(ascii: "\\"))
    switch byte {
    case 0x08: bytes.append(UInt8(ascii: "b"))
    case 0x09: bytes.append(UInt8(ascii: "t"))
    case 0x0A: bytes.append(UInt8(ascii: "n"))
    case 0x0C: bytes.append(UInt8(ascii: "f"))
    case 0x0D: bytes.append(UInt8(ascii: "r"))
    case 0x00..<0x20:
      bytes += "u00".utf8
      bytes.append(UInt8(ascii: "0") + byte >> 4)
      bytes.append(byte & 15 < 10 ? UInt8(ascii: "0") + byte & 15 : UInt8(ascii: "a") + byte & 15 - 10)
    default: bytes.append(byte)
    }
  }
}
