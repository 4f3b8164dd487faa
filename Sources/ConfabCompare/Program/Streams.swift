/// Byte streams that a client may send after the handshake, and what RFC 6455 requires for them.
struct ByteStream {
  let name: String
  let bytes: [UInt8]

  static func frame(
    _ opcode: UInt8, _ payload: [UInt8] = [], isFinal: Bool = true, reserved: UInt8 = 0, isMasked: Bool = true,
    lengthBytes: Int? = nil
  ) -> [UInt8] {
    let form = lengthBytes ?? (payload.count < 126 ? 0 : payload.count < 65_536 ? 2 : 8)
    let short: UInt8 = form == 0 ? UInt8(payload.count) : form == 2 ? 126 : 127
    var bytes: [UInt8] = [(isFinal ? 0x80 : 0) | reserved << 4 | opcode, (isMasked ? 0x80 : 0) | short]
    bytes += (0..<form).map { UInt8(truncatingIfNeeded: payload.count >> (8 * (form - 1 - $0))) }
    guard isMasked else { return bytes + payload }
    let mask: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
    return bytes + mask + payload.enumerated().map { $1 ^ mask[$0 & 3] }
  }

  private static func text(_ text: String) -> [UInt8] { frame(1, Array(text.utf8)) }
  private static func close(_ code: UInt16, _ reason: [UInt8] = []) -> [UInt8] {
    frame(8, [UInt8(code >> 8), UInt8(code & 255)] + reason)
  }

  static let valid: [ByteStream] = [
    .init(name: "text", bytes: text("Hello")),
    .init(name: "binary", bytes: frame(2, [0, 255, 254])),
    .init(name: "empty text", bytes: text("")),
    .init(name: "126 bytes", bytes: frame(2, Array(repeating: 1, count: 126))),
    .init(
      name: "fragments", bytes: frame(1, [0x48], isFinal: false) + frame(0, [0x65], isFinal: false) + frame(0, [0x79])),
    .init(name: "empty fragments", bytes: frame(2, [], isFinal: false) + frame(0, [], isFinal: false) + frame(0, [7])),
    .init(name: "ping between fragments", bytes: frame(1, [0x48], isFinal: false) + frame(9, [1]) + frame(0, [0x65])),
    .init(name: "unasked pong", bytes: frame(10, [1, 2]) + text("after")),
    .init(name: "character across fragments", bytes: frame(1, [0xE7, 0xBE], isFinal: false) + frame(0, [0xA4])),
    .init(name: "ping of 125 bytes", bytes: frame(9, Array(repeating: 1, count: 125))),
    .init(name: "close 1000", bytes: close(1000)),
    .init(name: "close 4000 with a reason", bytes: close(4000, Array("bye".utf8))),
    .init(name: "close without a code", bytes: frame(8)),
    .init(name: "text, then close", bytes: text("last") + close(1001)),
  ]

  static let invalid: [ByteStream] = [
    .init(name: "unmasked text", bytes: frame(1, [0x48], isMasked: false)),
    .init(name: "unmasked ping", bytes: frame(9, [1], isMasked: false)),
    .init(name: "5 bytes, length in 16 bits", bytes: frame(2, [1, 2, 3, 4, 5], lengthBytes: 2)),
    .init(name: "5 bytes, length in 64 bits", bytes: frame(2, [1, 2, 3, 4, 5], lengthBytes: 8)),
    .init(name: "length with its highest bit set", bytes: [0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 9]),
    .init(name: "length of 2^62", bytes: [0x82, 0xFF, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]),
    .init(name: "RSV1", bytes: frame(1, [0x48], reserved: 4)),
    .init(name: "RSV2", bytes: frame(1, [0x48], reserved: 2)),
    .init(name: "RSV3", bytes: frame(2, [], reserved: 1)),
    .init(name: "data opcode 3", bytes: frame(3, [1])),
    .init(name: "control opcode 11", bytes: frame(11)),
    .init(name: "continuation of nothing", bytes: frame(0, [1])),
    .init(name: "text within a fragmented text", bytes: frame(1, [0x48], isFinal: false) + text("new")),
    .init(name: "fragmented ping", bytes: frame(9, [1], isFinal: false)),
    .init(name: "ping of 126 bytes", bytes: frame(9, Array(repeating: 1, count: 126))),
    .init(name: "close of 1 byte", bytes: frame(8, [3])),
    .init(name: "close 999", bytes: close(999)),
    .init(name: "close 1005", bytes: close(1005)),
    .init(name: "close 1006", bytes: close(1006)),
    .init(name: "close 1015", bytes: close(1015)),
    .init(name: "close 2000", bytes: close(2000)),
    .init(name: "close 5000", bytes: close(5000)),
    .init(name: "close 1012, registered", bytes: close(1012)),
    .init(name: "close reason that is not UTF-8", bytes: close(1000, [0xFF])),
    .init(name: "text that is not UTF-8", bytes: frame(1, [0xC0, 0x80])),
    .init(name: "text that ends within a character", bytes: frame(1, [0xE7, 0xBE])),
    .init(name: "a lone surrogate", bytes: frame(1, [0xED, 0xA0, 0x80])),
    .init(name: "text, then data opcode 5", bytes: text("before") + frame(5)),
  ]

  /// Mutations of the other streams: bytes changed, removed or inserted, the same in every run.
  static func mutated(_ count: Int) -> [ByteStream] {
    var state: UInt64 = 0x5EED
    func random(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    let sources = valid + invalid
    return (0..<count).map { number in
      let source = sources[random(sources.count)]
      var bytes = source.bytes
      for _ in 0...random(3) {
        switch random(3) {
        case 0: bytes[random(bytes.count)] = UInt8(random(256))
        case 1 where bytes.count > 2: bytes.remove(at: random(bytes.count))
        default: bytes.insert(UInt8(random(256)), at: random(bytes.count))
        }
      }
      return ByteStream(name: "\(source.name), mutation \(number)", bytes: bytes)
    }
  }
}
