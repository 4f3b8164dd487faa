@testable import Confab

/// Encodes frames by RFC 6455, section 5.2, without code from the library.
func referenceFrames(_ opcode: UInt8, _ payload: [UInt8], fragmentSize: Int = 16_384) -> [UInt8] {
  var bytes: [UInt8] = []
  var offset = 0
  repeat {
    let piece = payload[offset..<min(offset + fragmentSize, payload.count)]
    offset = piece.endIndex
    let isFirst = piece.startIndex == 0
    bytes.append((offset == payload.count ? 0x80 : 0) + (isFirst ? opcode : 0))
    switch piece.count {
    case 0...125: bytes.append(UInt8(piece.count))
    default: bytes += [126, UInt8(piece.count / 256), UInt8(piece.count % 256)]
    }
    bytes += piece
  } while offset < payload.count
  return bytes
}

/// Random numbers that are the same in every run (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

func randomBytes(_ count: Int, using generator: inout SeededGenerator) -> [UInt8] {
  (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
}

extension BroadcastLog {
  func append(_ kind: Message.Kind, _ bytes: [UInt8]) { append(Message(kind, bytes.span)) }
}

extension LogForm {
  /// Returns everything that `cursor` can read, slice by slice.
  func readAll(_ cursor: inout Cursor) -> [Slice] {
    var slices: [Slice] = []
    while let slice = read(cursor) {
      slices.append(slice)
      advance(&cursor, by: slice.count)
    }
    return slices
  }
}

extension Slice {
  var contents: [UInt8] { Array(bytes[range]) }
}
