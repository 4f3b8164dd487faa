/// Checks the JSON grammar (RFC 8259) of a sequence of bytes.
struct JSONScanner: ~Escapable {
  struct Malformed: Error {}

  private let bytes: Span<UInt8>
  private(set) var position: Int

  @_lifetime(copy bytes)
  init(_ bytes: Span<UInt8>, at position: Int = 0) { (self.bytes, self.position) = (bytes, position) }

  /// The byte at the position; at the end the byte 0, which is not valid in JSON.
  var next: UInt8 { position < bytes.count ? bytes[position] : 0 }

  @_lifetime(self: copy self)
  mutating func skipSpace() {
    while position < bytes.count {
      switch bytes[position] {
      case 0x20, 0x09, 0x0A, 0x0D: position += 1
      default: return
      }
    }
  }

  /// Skips white space, and then `byte` if it follows. Returns whether `byte` followed.
  @_lifetime(self: copy self)
  mutating func take(_ byte: UInt8) -> Bool {
    skipSpace()
    guard position < bytes.count, bytes[position] == byte else { return false }
    position += 1
    return true
  }

  @_lifetime(self: copy self)
  mutating func expect(_ byte: UInt8) throws(Malformed) {
    guard take(byte) else { throw Malformed() }
  }

  @_lifetime(self: copy self)
  mutating func end() throws(Malformed) {
    skipSpace()
    guard position == bytes.count else { throw Malformed() }
  }

  @_lifetime(self: copy self)
  mutating func literal(_ text: StaticString) throws(Malformed) {
    for byte in "\(text)".utf8 {
      guard next == byte else { throw Malformed() }
      position += 1
    }
  }

  /// Scans a string. Returns the range of bytes between the quotes, and whether they have escapes.
  @_lifetime(self: copy self)
  mutating func string() throws(Malformed) -> (Range<Int>, isEscaped: Bool) {
    guard next == UInt8(ascii: "\"") else { throw Malformed() }
    position += 1
    let start = position
    var isEscaped = false
    while position < bytes.count {
      switch bytes[position] {
      case UInt8(ascii: "\""):
        position += 1
        return (start..<position - 1, isEscaped)
      case UInt8(ascii: "\\"):
        isEscaped = true
        try escape()
      case 0..<0x20: throw Malformed()
      default: position += 1
      }
    }
    throw Malformed()
  }

  @_lifetime(self: copy self)
  private mutating func escape() throws(Malformed) {
    position += 1
    switch next {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
      UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
      position += 1
    case UInt8(ascii: "u"):
      position += 1
      for _ in 0..<4 {
        guard JSONScanner.hexadecimal(next) != nil else { throw Malformed() }
        position += 1
      }
    default: throw Malformed()
    }
  }

  static func hexadecimal(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }

  @_lifetime(self: copy self)
  mutating func number() throws(Malformed) {
    if next == UInt8(ascii: "-") { position += 1 }
    if next == UInt8(ascii: "0") { position += 1 } else { try digits() }
    if next == UInt8(ascii: ".") {
      position += 1
      try digits()
    }
    if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
      position += 1
      if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { position += 1 }
      try digits()
    }
  }

  @_lifetime(self: copy self)
  private mutating func digits() throws(Malformed) {
    let start = position
    while UInt8(ascii: "0")...UInt8(ascii: "9") ~= next { position += 1 }
    guard position > start else { throw Malformed() }
  }

  /// Skips a value with at most `depth` nested arrays and objects.
  @_lifetime(self: copy self)
  mutating func skipValue(depth: Int) throws(Malformed) {
    skipSpace()
    switch next {
    case UInt8(ascii: "\""): _ = try string()
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try number()
    case UInt8(ascii: "t"): try literal("true")
    case UInt8(ascii: "f"): try literal("false")
    case UInt8(ascii: "n"): try literal("null")
    case UInt8(ascii: "["):
      guard depth > 0 else { throw Malformed() }
      position += 1
      if take(UInt8(ascii: "]")) { return }
      repeat { try skipValue(depth: depth - 1) } while take(UInt8(ascii: ","))
      try expect(UInt8(ascii: "]"))
    case UInt8(ascii: "{"):
      guard depth > 0 else { throw Malformed() }
      position += 1
      if take(UInt8(ascii: "}")) { return }
      repeat {
        skipSpace()
        _ = try string()
        try expect(UInt8(ascii: ":"))
        try skipValue(depth: depth - 1)
      } while take(UInt8(ascii: ","))
      try expect(UInt8(ascii: "}"))
    default: throw Malformed()
    }
  }
}
