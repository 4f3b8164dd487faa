/// The result of a stream: the delivered messages, and how the connection continues or ends.
struct Outcome: Equatable {
  enum End: Hashable, CustomStringConvertible {
    case open, close(Int), dropped
    var description: String {
      switch self {
      case .open: "goes on"
      case .close(let code): [1002, 1007, 1009].contains(code) ? "close \(code)" : "close, the peer's frame back"
      case .dropped: "drops the connection"
      }
    }
  }
  var messages: [[UInt8]] = []
  var end = End.open
}

/// The first violation of RFC 6455 in a stream, with the sentence of the RFC.
enum Violation: String, CaseIterable {
  case none = "nothing"
  case unmasked = "a frame without a mask"
  case longLength = "a length in more bytes than needed"
  case highLength = "a length of 2^63 or more"
  case tooLarge = "a length beyond the limit"
  case reserved = "a reserved bit without an extension"
  case opcode = "an unknown opcode"
  case continuation = "a continuation of nothing"
  case interleaved = "a new message within a fragmented one"
  case fragmentedControl = "a fragmented control frame"
  case longControl = "a control frame of more than 125 bytes"
  case closeLength = "a close frame of 1 byte"
  case closeCode = "a close code that must not be sent"
  case registeredCloseCode = "a close code that IANA has registered since (1012 to 1014)"
  case closeReason = "a close reason that is not UTF-8"
  case text = "text that is not UTF-8"

  var sentence: String {
    switch self {
    case .none: "must be accepted"
    case .unmasked: "5.1: The server MUST close the connection upon receiving a frame that is not masked."
    case .longLength: "5.2: the minimal number of bytes MUST be used to encode the length"
    case .highLength: "5.2: the most significant bit MUST be 0"
    case .tooLarge: "7.4.1: 1009 indicates … a message that is too big for it to process"
    case .reserved: "5.2: MUST be 0 unless an extension is negotiated … MUST _Fail the WebSocket Connection_"
    case .opcode: "5.2: If an unknown opcode is received, … MUST _Fail the WebSocket Connection_"
    case .continuation:
      "5.4: A fragmented message consists of a single frame with the FIN bit clear and an opcode other than 0"
    case .interleaved:
      "5.4: The fragments of one message MUST NOT be interleaved between the fragments of another message"
    case .fragmentedControl: "5.5: control frames … MUST NOT be fragmented"
    case .longControl: "5.5: All control frames MUST have a payload length of 125 bytes or less"
    case .closeLength: "5.5.1: the first two bytes of the body MUST be a 2-byte unsigned integer"
    case .closeCode: "7.4.1, 7.4.2: … MUST NOT be set as a status code in a Close control frame by an endpoint"
    case .registeredCloseCode:
      "7.4.2: 1000-2999 are reserved for definition by … extensions: since then, they are valid"
    case .closeReason: "5.5.1: UTF-8-encoded data; 8.1: MUST _Fail the WebSocket Connection_"
    case .text: "8.1: When an endpoint is to interpret a byte stream as UTF-8 but finds that … it is not … MUST _Fail_"
    }
  }
}

/// Parses a stream strictly by RFC 6455. Shares no code with either server.
func judge(_ bytes: [UInt8], limit: UInt64) -> (violation: Violation, isCut: Bool, messages: [[UInt8]]) {
  var index = 0
  var messages: [[UInt8]] = []
  var message: (opcode: UInt8, bytes: [UInt8])?
  func take(_ count: Int) -> ArraySlice<UInt8>? {
    guard index + count <= bytes.count else { return nil }
    defer { index += count }
    return bytes[index..<index + count]
  }
  while index < bytes.count {
    guard let start = take(2) else { return (.none, true, messages) }
    let (first, second) = (start[start.startIndex], start[start.startIndex + 1])
    let (opcode, isFinal, short) = (first & 15, first & 0x80 != 0, Int(second & 127))
    let isControl = opcode & 8 != 0
    if first & 0x70 != 0 { return (.reserved, false, messages) }
    if ![0, 1, 2, 8, 9, 10].contains(opcode) { return (.opcode, false, messages) }
    if isControl && !isFinal { return (.fragmentedControl, false, messages) }
    if isControl && short > 125 { return (.longControl, false, messages) }
    if opcode == 0 && message == nil { return (.continuation, false, messages) }
    if (opcode == 1 || opcode == 2) && message != nil { return (.interleaved, false, messages) }
    if second & 0x80 == 0 { return (.unmasked, false, messages) }
    let extra = short == 126 ? 2 : short == 127 ? 8 : 0
    guard let lengthBytes = take(extra) else { return (.none, true, messages) }
    let length = extra == 0 ? UInt64(short) : lengthBytes.reduce(0) { $0 << 8 | UInt64($1) }
    if length >> 63 != 0 { return (.highLength, false, messages) }
    if extra == 2 && length < 126 || extra == 8 && length < 65_536 { return (.longLength, false, messages) }
    if !isControl && length + UInt64(message?.bytes.count ?? 0) > limit { return (.tooLarge, false, messages) }
    guard let mask = take(4).map(Array.init), let masked = take(Int(length)) else { return (.none, true, messages) }
    let payload = masked.enumerated().map { $1 ^ mask[$0 & 3] }
    switch opcode {
    case 8: return (judgeClose(payload), false, messages)
    case 9, 10: continue
    default:
      message = (message?.opcode ?? opcode, (message?.bytes ?? []) + payload)
      guard isFinal, let whole = message else { continue }
      if whole.opcode == 1 && String(validating: whole.bytes, as: UTF8.self) == nil { return (.text, false, messages) }
      messages.append(whole.bytes)
      message = nil
    }
  }
  return (.none, message != nil, messages)
}

private func judgeClose(_ payload: [UInt8]) -> Violation {
  if payload.isEmpty { return .none }
  if payload.count == 1 { return .closeLength }
  let code = Int(payload[0]) << 8 | Int(payload[1])
  switch code {
  case 1000...1003, 1007...1011, 3000...4999: break
  case 1012...1014: return .registeredCloseCode
  default: return .closeCode
  }
  return String(validating: payload.dropFirst(2), as: UTF8.self) == nil ? .closeReason : .none
}
