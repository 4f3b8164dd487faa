import Testing

@testable import Confab

struct AssemblyTests {
  private var limits: Assembly.Limits {
    var configuration = Configuration()
    configuration.maxMessageSize = 100
    configuration.maxFragments = 3
    return Assembly.Limits(configuration)
  }

  @Test func joinsFragmentsOfTheFirstOnesKind() throws {
    var assembly = Assembly()
    #expect(assembly.isEmpty)
    try add(&assembly, "群".utf8.dropLast(), kind: .text)
    try add(&assembly, "群".utf8.suffix(1), kind: .text, isFinal: true)
    #expect(assembly.bytes == Array("群".utf8))
    #expect(assembly.kind == .text)
    #expect(!assembly.isEmpty)
  }

  @Test func refusesTooManyBytesBeforeTheyCome() throws {
    var assembly = Assembly()
    try add(&assembly, Array(repeating: 0, count: 60), remaining: 40)
    #expect(throws: Assembly.Refusal.tooBig) { try add(&assembly, [0], remaining: 40) }
    var claimed = Assembly()
    #expect(throws: Assembly.Refusal.tooBig) { try add(&claimed, [0], remaining: .max) }
  }

  @Test func refusesTooManyFragmentsEmptyOnesIncluded() throws {
    var assembly = Assembly()
    for _ in 0..<3 { try add(&assembly, []) }
    #expect(throws: Assembly.Refusal.tooManyFragments) { try add(&assembly, []) }
  }

  @Test func refusesTextThatIsNotUtf8() throws {
    var assembly = Assembly()
    #expect(throws: Assembly.Refusal.notUtf8) { try add(&assembly, [0xFF], kind: .text) }
    var truncated = Assembly()
    try add(&truncated, [0xE7], kind: .text)
    #expect(throws: Assembly.Refusal.notUtf8) { try add(&truncated, [], kind: .text, isFinal: true) }
    var binary = Assembly()
    try add(&binary, [0xFF], isFinal: true)
  }

  @Test func checksMessagesInOnePiece() throws {
    try Assembly.check(Message(.binary, [UInt8](repeating: 0xFF, count: 100).span), limits: limits)
    #expect(throws: Assembly.Refusal.tooBig) {
      try Assembly.check(Message(.binary, [UInt8](repeating: 0, count: 101).span), limits: limits)
    }
    #expect(throws: Assembly.Refusal.notUtf8) { try Assembly.check(Message(.text, [0xC3].span), limits: limits) }
  }

  private func add(
    _ assembly: inout Assembly, _ bytes: some Sequence<UInt8>, kind: Message.Kind = .binary, remaining: Int = 0,
    isFinal: Bool = false
  ) throws {
    try assembly.add(Array(bytes).span, kind: kind, remaining: remaining, isFinal: isFinal, limits: limits)
  }
}
