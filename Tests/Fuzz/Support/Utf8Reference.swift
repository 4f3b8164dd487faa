/// Returns whether the standard library accepts `bytes` as UTF-8.
func isText(_ bytes: [UInt8]) -> Bool { String(validating: bytes, as: UTF8.self) != nil }

/// Returns whether `bytes` can become UTF-8 with at most three more bytes.
func mayBecomeText(_ bytes: [UInt8]) -> Bool {
  // Every first byte allows 0x80 or 0xBF as the second.
  let ends: [[UInt8]] = [[], [0x80], [0xBF], [0x80, 0x80], [0xBF, 0x80], [0x80, 0x80, 0x80], [0xBF, 0x80, 0x80]]
  return ends.contains { isText(bytes + $0) }
}
