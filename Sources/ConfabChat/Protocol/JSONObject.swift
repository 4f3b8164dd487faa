/// The members of a JSON object (RFC 8259) with given names, found in one pass over its bytes.
///
/// Other members are checked and skipped. The time is linear in the number of bytes, and the memory is constant. If a
/// name occurs twice, the later member counts, unless the object is strict.
package struct JSONObject<Name: RawRepresentable> where Name.RawValue == Int {
  /// Maximum nesting depth. Deeper objects are rejected.
  static var maxDepth: Int { 32 }
  /// Maximum number of members. Larger objects are rejected.
  static var maxMembers: Int { 256 }
  /// Maximum length of a number in bytes. Reading a longer number throws.
  private static var maxNumberLength: Int { 32 }

  /// Maximum length of a name with escapes, in bytes. Longer names with escapes are treated as unknown.
  private static var maxNameLength: Int { 64 }

  private enum Value {
    case text(Range<Int>, isEscaped: Bool)
    case number(Range<Int>)
    case null
    /// `true`, `false`, an array or an object.
    case other(Range<Int>)
  }

  private let bytes: [UInt8]
  private let names: [[UInt8]]
  private let isStrict: Bool
  private var values: [Value?]

  /// - Parameters:
  ///   - names: the names of all cases of `Name`, in their order.
  ///   - isStrict: whether to reject an object that has one of these names twice, or with the value null.
  /// - Returns: nil if the bytes are not exactly one object. The bytes must be UTF-8.
  package init?(_ bytes: [UInt8], names: [[UInt8]], isStrict: Bool = false) {
    (self.bytes, self.names, self.isStrict) = (bytes, names, isStrict)
    values = Array(repeating: nil, count: names.count)
    var scanner = JSONScanner(bytes.span)
    do throws(JSONScanner.Malformed) {
      try readMembers(&scanner)
      try scanner.end()
    } catch { return nil }
  }

  private mutating func readMembers(_ scanner: inout JSONScanner) throws(JSONScanner.Malformed) {
    try scanner.expect(UInt8(ascii: "{"))
    if scanner.take(UInt8(ascii: "}")) { return }
    var count = 0
    repeat {
      count += 1
      guard count <= JSONObject.maxMembers else { throw JSONScanner.Malformed() }
      scanner.skipSpace()
      let (range, isEscaped) = try scanner.string()
      try scanner.expect(UInt8(ascii: ":"))
      scanner.skipSpace()
      let start = scanner.position
      let value: Value
      switch scanner.next {
      case UInt8(ascii: "\""):
        let (range, isEscaped) = try scanner.string()
        value = .text(range, isEscaped: isEscaped)
      case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
        try scanner.number()
        value = .number(start..<scanner.position)
      case UInt8(ascii: "n"):
        try scanner.literal("null")
        value = .null
      default:
        try scanner.skipValue(depth: JSONObject.maxDepth - 1)
        value = .other(start..<scanner.position)
      }
      if let index = index(of: range, isEscaped) { try set(value, at: index) }
    } while scanner.take(UInt8(ascii: ","))
    try scanner.expect(UInt8(ascii: "}"))
  }

  private mutating func set(_ value: Value, at index: Int) throws(JSONScanner.Malformed) {
    if isStrict {
      guard values[index] == nil else { throw JSONScanner.Malformed() }
      if case .null = value { throw JSONScanner.Malformed() }
    }
    values[index] = value
  }

  private func index(of range: Range<Int>, _ isEscaped: Bool) -> Int? {
    if isEscaped {
      guard range.count <= JSONObject.maxNameLength, let name = unescaped(range) else { return nil }
      return names.firstIndex { $0.elementsEqual(name.utf8) }
    }
    return names.firstIndex { $0.count == range.count && $0.elementsEqual(bytes[range]) }
  }

  /// Returns a text member; nil if it is missing or null.
  package func text(_ name: Name) throws(WrongJSONType) -> String? {
    switch value(name) {
    case .text(let range, false): return String(decoding: bytes[range], as: UTF8.self)
    case .text(let range, true):
      guard let text = unescaped(range) else { throw WrongJSONType() }
      return text
    case .null, nil: return nil
    case .number, .other: throw WrongJSONType()
    }
  }

  /// Returns an integer member; nil if it is missing or null.
  package func number(_ name: Name) throws(WrongJSONType) -> Int? {
    switch value(name) {
    case .number(let range):
      guard range.count <= JSONObject.maxNumberLength else { throw WrongJSONType() }
      let text = String(decoding: bytes[range], as: UTF8.self)
      // `3.0` and `3e2` are integers as well.
      guard let number = Int(text) ?? Double(text).flatMap({ Int(exactly: $0) }) else { throw WrongJSONType() }
      return number
    case .null, nil: return nil
    case .text, .other: throw WrongJSONType()
    }
  }

  /// Returns a number member, which may have a fraction; nil if it is missing or null.
  package func decimal(_ name: Name) throws(WrongJSONType) -> Double? {
    switch value(name) {
    case .number(let range):
      guard range.count <= JSONObject.maxNumberLength,
        let number = Double(String(decoding: bytes[range], as: UTF8.self)), number.isFinite
      else { throw WrongJSONType() }
      return number
    case .null, nil: return nil
    case .text, .other: throw WrongJSONType()
    }
  }

  /// Returns the elements of an array of texts; nil if it is missing or null.
  package func texts(_ name: Name) throws(WrongJSONType) -> [String]? {
    try array(name) { scanner throws(JSONScanner.Malformed) in
      scanner.skipSpace()
      let (range, isEscaped) = try scanner.string()
      guard isEscaped else { return String(decoding: bytes[range], as: UTF8.self) }
      guard let text = unescaped(range) else { throw JSONScanner.Malformed() }
      return text
    }
  }

  /// Returns a text, or the elements of an array of texts; nil if it is missing or null.
  package func textOrTexts(_ name: Name) throws(WrongJSONType) -> [String]? {
    if case .text = value(name) { return try text(name).map { [$0] } }
    return try texts(name)
  }

  /// Returns the elements of an array as JSON; nil if it is missing or null.
  package func elements(_ name: Name) throws(WrongJSONType) -> [ArraySlice<UInt8>]? {
    try array(name) { scanner throws(JSONScanner.Malformed) in
      scanner.skipSpace()
      let start = scanner.position
      try scanner.skipValue(depth: JSONObject.maxDepth)
      return bytes[start..<scanner.position]
    }
  }

  private func array<Element>(
    _ name: Name, _ read: (inout JSONScanner) throws(JSONScanner.Malformed) -> Element
  ) throws(WrongJSONType) -> [Element]? {
    switch value(name) {
    case .other(let range):
      var scanner = JSONScanner(bytes.span, at: range.lowerBound)
      var elements: [Element] = []
      do throws(JSONScanner.Malformed) {
        try scanner.expect(UInt8(ascii: "["))
        if scanner.take(UInt8(ascii: "]")) { return elements }
        repeat { elements.append(try read(&scanner)) } while scanner.take(UInt8(ascii: ","))
        return elements
      } catch { throw WrongJSONType() }
    case .null, nil: return nil
    case .number, .text: throw WrongJSONType()
    }
  }

  /// Returns whether the object has the member.
  package func has(_ name: Name) -> Bool { value(name) != nil }

  private func value(_ name: Name) -> Value? { values[name.rawValue] }

  /// Returns the value of a string; nil if it has an unpaired surrogate.
  private func unescaped(_ range: Range<Int>) -> String? {
    var output: [UInt8] = []
    output.reserveCapacity(range.count)
    var index = range.lowerBound
    while index < range.upperBound {
      guard bytes[index] == UInt8(ascii: "\\") else {
        output.append(bytes[index])
        index += 1
        continue
      }
      index += 2
      switch bytes[index - 1] {
      case UInt8(ascii: "b"): output.append(0x08)
      case UInt8(ascii: "f"): output.append(0x0C)
      case UInt8(ascii: "n"): output.append(0x0A)
      case UInt8(ascii: "r"): output.append(0x0D)
      case UInt8(ascii: "t"): output.append(0x09)
      case UInt8(ascii: "u"):
        guard let scalar = scalar(at: &index, before: range.upperBound) else { return nil }
        output.append(contentsOf: String(scalar).utf8)
      case let byte: output.append(byte)
      }
    }
    return String(decoding: output, as: UTF8.self)
  }

  /// Parses the digits of `\u`, and the second escape of a surrogate pair.
  private func scalar(at index: inout Int, before end: Int) -> Unicode.Scalar? {
    let first = codeUnit(at: &index)
    if let scalar = Unicode.Scalar(first) { return scalar }
    guard first < 0xDC00, index + 6 <= end, bytes[index] == UInt8(ascii: "\\"), bytes[index + 1] == UInt8(ascii: "u")
    else { return nil }
    index += 2
    let second = codeUnit(at: &index)
    guard 0xDC00...0xDFFF ~= second else { return nil }
    return Unicode.Scalar(0x10000 + (UInt32(first) - 0xD800) << 10 + UInt32(second) - 0xDC00)
  }

  private func codeUnit(at index: inout Int) -> UInt16 {
    defer { index += 4 }
    return bytes[index..<index + 4].reduce(0) { $0 << 4 | UInt16(JSONScanner.hexadecimal($1) ?? 0) }
  }
}

/// Error for a member of the wrong type.
package struct WrongJSONType: Error {
  package init() {}
}
