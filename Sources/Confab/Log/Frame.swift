/// A WebSocket frame to be written: one header and one piece of a message (RFC 6455, section 5.2).
///
/// The server's frames are not masked, section 5.1, so the same bytes serve every reader.
struct Frame: ~Escapable {
  /// The most payload that one frame carries, in bytes. A longer message is cut into fragments of this size,
  /// section 5.4.
  ///
  /// One write carries whole frames only: libwebsockets puts PONG and CLOSE between two writes, where half a frame
  /// would break the stream.
  static let maxPayload = 16 * 1024
  /// The longest header of a frame with at most ``maxPayload`` bytes.
  static let maxHeader = 4

  let opcode: UInt8
  let isFinal: Bool
  /// RSV1: the first frame of a compressed message has it set, RFC 7692, section 6.
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
  /// Cuts the message into frames: one, or fragments of ``Frame/maxPayload`` bytes and a last one.
  func forEachFrame(_ body: (Frame) -> Void) {
    // Nearly all are one, and cut nowhere.
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
