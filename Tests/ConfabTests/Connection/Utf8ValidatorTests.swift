import Testing

@testable import Confab

struct Utf8ValidatorTests {
  @Test(arguments: [
    "", "plain", "κόσμε", "群聊消息", "👩‍👩‍👧‍👦", "\u{10FFFF}\u{0}\u{7F}\u{80}\u{7FF}\u{800}\u{FFFF}\u{10000}",
    String(repeating: "a", count: 1000) + "é" + String(repeating: "b", count: 37),
  ])
  func acceptsTextSplitAnywhere(_ text: String) {
    let bytes = Array(text.utf8)
    for cut in 0...bytes.count {
      #expect(verdict(bytes[..<cut], bytes[cut...]) == .complete)
    }
  }

  /// Overlong forms, surrogates, beyond U+10FFFF, stray and missing continuation bytes, bytes that never occur.
  @Test(
    arguments: [
      [0xC0, 0xAF], [0xC1, 0xBF], [0xE0, 0x80, 0x80], [0xE0, 0x9F, 0xBF], [0xF0, 0x80, 0x80, 0x80],
      [0xF0, 0x8F, 0xBF, 0xBF], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xF4, 0x90, 0x80, 0x80],
      [0xF5, 0x80, 0x80, 0x80], [0x80], [0xBF], [0xC3, 0x28], [0xE2, 0x82, 0x28], [0xFE], [0xFF],
      Array(repeating: 0x61, count: 40) + [0xFF] + Array(repeating: 0x61, count: 40),
    ] as [[UInt8]])
  func rejectsInvalidText(_ bytes: [UInt8]) {
    for cut in 0...bytes.count {
      #expect(verdict(bytes[..<cut], bytes[cut...]) == .rejected)
    }
  }

  @Test func detectsTextThatEndsInsideACharacter() {
    for cut in 1...3 {
      #expect(verdict(Array("🎉".utf8)[..<cut]) == .incomplete)
    }
  }

  /// The standard library decides the same on random bytes around the borders of RFC 3629.
  @Test func agreesWithTheStandardLibrary() {
    var generator = SeededGenerator(state: 3)
    let likely: [UInt8] = [
      0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC2, 0xDF, 0xE0, 0xED, 0xEF, 0xF0, 0xF4,
    ]
    for _ in 0..<20_000 {
      let bytes = (0..<Int.random(in: 0...6, using: &generator)).map { _ in likely.randomElement(using: &generator)! }
      let isValid = verdict(bytes[...]) == .complete
      #expect(isValid == (String(validating: bytes, as: UTF8.self) != nil), "\(bytes)")
    }
  }
}

private enum Verdict { case rejected, incomplete, complete }

private func verdict(_ pieces: ArraySlice<UInt8>...) -> Verdict {
  var validator = Utf8Validator()
  let whole = pieces.flatMap { $0 }
  let isAccepted = pieces.allSatisfy { validator.accept(Array($0).span) }
  let isValid = Utf8Validator.isValid(whole.span)
  #expect(isValid == (isAccepted && validator.isComplete), "a whole text is judged as its pieces are")
  guard isAccepted else { return .rejected }
  return validator.isComplete ? .complete : .incomplete
}
