import Testing

@testable import Confab

struct FrameTests {
  /// RFC 6455, section 5.7: "A single-frame unmasked text message", "256 bytes binary message".
  @Test func matchesTheExamplesOfTheRFC() {
    #expect(encoded(.text, Array("Hello".utf8)) == [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f])
    #expect(encoded(.binary, Array(repeating: 7, count: 256)).prefix(4) == [0x82, 0x7E, 0x01, 0x00])
  }

  @Test(arguments: [0, 1, 125, 126, 127, 65_535, 65_536, 16_383, 16_384, 16_385, 32_768, 100_000])
  func encodesEverySize(_ size: Int) {
    var generator = SeededGenerator(state: UInt64(size))
    let payload = randomBytes(size, using: &generator)
    #expect(encoded(.binary, payload) == referenceFrames(2, payload))
  }

  @Test func countsWhatItEncodes() {
    for size in [0, 125, 126, 16_384] {
      let payload = [UInt8](repeating: 0, count: size)
      var bytes: [UInt8] = []
      let frame = Frame(opcode: 1, isFinal: true, payload: payload.span)
      frame.encode(into: &bytes)
      #expect(frame.encodedCount == bytes.count)
    }
  }

  private func encoded(_ kind: Message.Kind, _ payload: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    Message(kind, payload.span).forEachFrame { $0.encode(into: &bytes) }
    return bytes
  }
}
