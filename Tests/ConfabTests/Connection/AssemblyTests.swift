import Testing

@testable import Confab

struct AssemblyTests {
  private var limits: Assembly.Limits {
    var configuration = Configuration()
    configuration.maxMessageSize = 100
    configuration.maxFragments = 3
    return Assembly.Limits(configuration)
  }

  @Test func joinsFragmentsWithTheKindOfTheFirst() throws {
    let assembly = Assembly(.text)
    try add(assembly, "群".utf8.dropLast())
    try add(assembly, "群".utf8.suffix(1), isFinal: true)
    #expect(assembly.bytes == Array("群".utf8))
    #expect(assembly.kind == .text)
  }

  @Test func rejectsTooManyBytesBeforeTheyArrive() throws {
    let assembly = Assembly(.binary)
    try add(assembly, Array(repeating: 0, count: 60), remaining: 40)
    #expect(throws: AssemblyError.tooBig) { try add(assembly, [0], remaining: 40) }
    let claimed = Assembly(.binary)
    #expect(throws: AssemblyError.tooBig) { try add(claimed, [0], remaining: .max) }
  }

  @Test func rejectsTooManyFragmentsIncludingEmptyOnes() throws {
    let assembly = Assembly(.binary)
    for _ in 0..<3 { try add(assembly, []) }
    #expect(throws: AssemblyError.tooManyFragments) { try add(assembly, []) }
  }

  @Test func rejectsInvalidUtf8() throws {
    let assembly = Assembly(.text)
    #expect(throws: AssemblyError.notUtf8) { try add(assembly, [0xFF]) }
    let truncated = Assembly(.text)
    try add(truncated, [0xE7])
    #expect(throws: AssemblyError.notUtf8) { try add(truncated, [], isFinal: true) }
    let binary = Assembly(.binary)
    try add(binary, [0xFF], isFinal: true)
  }

  @Test func checksMessagesInOnePiece() throws {
    try Assembly.check(Message(.binary, [UInt8](repeating: 0xFF, count: 100).span), limits: limits)
    #expect(throws: AssemblyError.tooBig) {
      try Assembly.check(Message(.binary, [UInt8](repeating: 0, count: 101).span), limits: limits)
    }
    #expect(throws: AssemblyError.notUtf8) { try Assembly.check(Message(.text, [0xC3].span), limits: limits) }
  }

  private func add(
    _ assembly: Assembly, _ bytes: some Sequence<UInt8>, remaining: Int = 0, isFinal: Bool = false
  ) throws {
    try assembly.add(Array(bytes).span, remaining: remaining, isFinal: isFinal, limits: limits)
  }
}
