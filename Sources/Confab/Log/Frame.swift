/// A WebSocket frame to be written: a header and a piece of a message (RFC 6455, section 5.2).
///
/// The server's frames are not masked (section 5.1), so the same bytes serve every reader.
struct Frame: ~Escapable {
  /// Maximum payload of a frame in bytes. A longer message is split into fragments of this size (section 5.4).
  ///
  /// A write contains whole frames only: libwebsockets sends PONG and CLOSE between two writes, where half a frame
  /// would break the stream.
  static let maxPayload = 16 * 1024
  /// Maximum header length of a frame with at most ``maxPayload`` bytes.
  static let maxHeader = 4

  let opcode: UInt8
  let isFinal: Bool
  /// RSV1: set in the first frame of a compressed message (RFC 7692, section 6).
  let isCompressed: Bool
  let payload: Span<UInt8>

  @_lifetime(copy payload)
  init(opcode: UInt8, isFinal: Bool, isCompressed: Bool = false, payload: Span<UInt8>) {
    precondition(payload.count <= Frame.maxPayload)
    self.opcode = opcode
    self.isFinal = isFinal
    self.isCompressed = isCompressed
    self.payload = payload
  }

  /// The number of bytes that ``encode(into:)`` appends.
  var encodedCount: Int { payload.count + (payload.count < 126 ? 2 : 4) }

  func encode(into bytes: inout [UInt8]) {
    let first = (isFinal ? 0x80 : 0) | (isCompressed ? 0x40 : 0) | opcode
    bytes.append(addingCapacity: encodedCount) { output in
      output.append(first)
      if payload.count < 126 {
        output.append(UInt8(payload.count))
      } else {
        output.append(126)
        output.append(UInt8(truncatingIfNeeded: payload.count >> 8))
        output.append(UInt8(truncatingIfNeeded: payload.count))
      }
      output.append(payload)
    }
  }
}

extension Message {
  /// Splits the message into frames: one, or fragments of ``Frame/maxPayload`` bytes and a last one.
  func forEachFrame(_ body: (Frame) -> Void) {
    // Nearly all messages fit one frame.
    if bytes.count <= Frame.maxPayload {
      return body(Frame(opcode: kind.rawValue, isFinal: true, isCompressed: isCompressed, payload: bytes))
    }
    var offset = 0
    repeat {
      let piece = bytes.extracting(offset..<min(offset + Frame.maxPayload, bytes.count))
      let end = offset + piece.count
      body(
        Frame(
          opcode: offset == 0 ? kind.rawValue : 0, isFinal: end == bytes.count,
          isCompressed: offset == 0 && isCompressed, payload: piece))
      offset = end
    } while offset < bytes.count
  }
}
