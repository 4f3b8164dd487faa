/// The header fields of a request (RFC 9110, section 5): the bytes as they were sent, and the ranges of names and
/// values.
package struct HeaderFields: Sendable {
  /// Offsets fit 16 bits, because ``Configuration/maxHeaderSize`` is at most 16 KiB.
  private struct Field {
    let name: Range<UInt16>
    let value: Range<UInt16>
  }

  private var bytes: [UInt8]
  private var fields: [Field] = []

  /// - Parameter bytes: a request header section. ``add(name:value:)`` adds its fields.
  init(_ bytes: [UInt8] = []) { self.bytes = bytes }

  var count: Int { fields.count }

  mutating func add(name: Range<Int>, value: Range<Int>) {
    fields.append(
      Field(
        name: UInt16(name.lowerBound)..<UInt16(name.upperBound),
        value: UInt16(value.lowerBound)..<UInt16(value.upperBound)))
  }

  /// Appends a field and its bytes. Returns false if there is too little space.
  mutating func append(name: some Sequence<UInt8>, value: some Sequence<UInt8>) -> Bool {
    let start = bytes.count
    bytes += name
    let middle = bytes.count
    bytes += value
    guard bytes.count <= Int(UInt16.max) else { return false }
    add(name: start..<middle, value: middle..<bytes.count)
    return true
  }

  /// Returns the values of the fields with this name, in their order. The name may be in any case.
  func values(_ name: String) -> [String] {
    fields.filter { isNamed($0, name) }.map { text($0.value) }
  }

  /// The value of a field; nil without the field. Values of a field that is sent several times are joined (RFC 9110,
  /// section 5.3).
  subscript(name: String) -> String? {
    var joined: String?
    for field in fields where isNamed(field, name) {
      let value = text(field.value)
      joined = joined.map { "\($0)\(name == "cookie" ? "; " : ", ")\(value)" } ?? value
    }
    return joined
  }

  /// Returns whether the list in a field has this element, in any case.
  func list(_ name: String, has element: String) -> Bool {
    (self[name] ?? "").listElements.contains { $0.isSame(inAnyCaseAs: element) }
  }

  func has(_ name: String) -> Bool { fields.contains { isNamed($0, name) } }

  /// All names, in lower case, and values.
  package var all: [(name: String, value: String)] {
    fields.map { (text($0.name).lowercased(), text($0.value)) }
  }

  private func isNamed(_ field: Field, _ name: String) -> Bool {
    field.name.count == name.utf8.count
      && zip(bytes[Int(field.name.lowerBound)..<Int(field.name.upperBound)], name.utf8).allSatisfy {
        $0.asciiLowercased == $1.asciiLowercased
      }
  }

  private func text(_ range: Range<UInt16>) -> String {
    String(decoding: bytes[Int(range.lowerBound)..<Int(range.upperBound)], as: UTF8.self)
  }
}

extension UInt8 {
  /// The lower-case letter for an ASCII capital letter; other bytes are unchanged.
  var asciiLowercased: UInt8 { 65...90 ~= self ? self | 0x20 : self }
}
