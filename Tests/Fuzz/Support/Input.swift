/// The fuzzer's input, read as values. When the bytes run out, every value is 0.
struct Input {
  private var rest: ArraySlice<UInt8>

  init(_ start: UnsafePointer<UInt8>?, _ count: Int) {
    rest = Array(UnsafeBufferPointer(start: start, count: count))[...]
  }

  var isEmpty: Bool { rest.isEmpty }

  mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }
  mutating func flag() -> Bool { byte() & 1 == 1 }

  /// Returns an index below `count`, which is at most 256.
  mutating func index(below count: Int) -> Int { Int(byte()) % count }
  mutating func element<Element>(of choices: [Element]) -> Element { choices[index(below: choices.count)] }

  mutating func integer() -> UInt64 { (0..<8).reduce(0) { value, _ in value << 8 | UInt64(byte()) } }

  /// Returns the next bytes, fewer when they run out.
  mutating func bytes(_ count: Int) -> [UInt8] {
    defer { rest = rest.dropFirst(count) }
    return Array(rest.prefix(count))
  }

  /// Returns all remaining bytes.
  mutating func remaining() -> [UInt8] { bytes(rest.count) }

  /// Returns the text up to a newline, which is skipped, or up to the end.
  mutating func line() -> String {
    let line = rest.prefix { $0 != 10 }
    rest = rest[line.endIndex...].dropFirst()
    return String(decoding: line, as: UTF8.self)
  }
}

/// Ends the program if the condition is false, which reports a finding to the fuzzer.
func require(_ condition: Bool, _ message: @autoclosure () -> String) {
  if !condition { fatalError(message()) }
}
