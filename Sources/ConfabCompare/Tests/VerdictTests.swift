import Testing

@testable import ConfabCompare

/// Tests the reference that both codecs are compared with.
struct VerdictTests {
  @Test(
    arguments: [
      (.none, [0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]),
      (.none, [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8]),
      (.unmasked, [0x81, 0x02, 0x68, 0x69]),
      (.longLength, [0x82, 0xFE, 0x00, 0x01, 0, 0, 0, 0, 7]),
      (.highLength, [0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0]),
      (.tooLarge, [0x82, 0xFE, 0x10, 0x00, 0, 0, 0, 0]),
      (.reserved, [0xC1, 0x80, 0, 0, 0, 0]),
      (.opcode, [0x83, 0x80, 0, 0, 0, 0]),
      (.continuation, [0x80, 0x80, 0, 0, 0, 0]),
      (.interleaved, [0x01, 0x80, 0, 0, 0, 0, 0x81, 0x80, 0, 0, 0, 0]),
      (.fragmentedControl, [0x09, 0x80, 0, 0, 0, 0]),
      (.longControl, [0x89, 0xFE, 0, 126, 0, 0, 0, 0]),
      (.closeLength, [0x88, 0x81, 0, 0, 0, 0, 3]),
      (.closeCode, [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xED]),
      (.registeredCloseCode, [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xF5]),
      (.closeReason, [0x88, 0x83, 0, 0, 0, 0, 0x03, 0xE8, 0xFF]),
      (.text, [0x81, 0x81, 0, 0, 0, 0, 0xFF]),
    ] as [(Violation, [UInt8])])
  func detectsEachViolation(_ violation: Violation, _ bytes: [UInt8]) {
    #expect(judge(bytes, limit: 1000).violation == violation)
  }

  @Test func messagesAreJoinedAndUnmasked() {
    let stream: [UInt8] = [
      0x01, 0x82, 1, 2, 3, 4, 0x68 ^ 1, 0x69 ^ 2, 0x89, 0x80, 0, 0, 0, 0, 0x80, 0x81, 9, 9, 9, 9, 0x21 ^ 9,
    ]
    let verdict = judge(stream, limit: 1000)
    #expect(verdict.violation == .none)
    #expect(verdict.messages == [Array("hi!".utf8)])
    #expect(!verdict.isCut)
    #expect(judge(Array(stream.dropLast()), limit: 1000).isCut)
  }
}
