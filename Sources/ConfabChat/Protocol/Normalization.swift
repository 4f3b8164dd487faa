internal import CUtf8proc

// Unicode normalization forms (Unicode Standard Annex 15) by utf8proc, for texts of at most a few thousand bytes.

extension String {
  /// NFC: canonically equivalent texts have the same bytes.
  var composed: String { mapped(UTF8PROC_STABLE.rawValue | UTF8PROC_COMPOSE.rawValue) }

  /// NFKC_Casefold: texts that differ in case, in compatibility forms such as full width, or in default-ignorable code
  /// points have the same bytes.
  var folded: String {
    mapped(
      UTF8PROC_STABLE.rawValue | UTF8PROC_COMPOSE.rawValue | UTF8PROC_COMPAT.rawValue | UTF8PROC_CASEFOLD.rawValue
        | UTF8PROC_IGNORE.rawValue)
  }

  private func mapped(_ options: UInt32) -> String {
    // ASCII is its own NFC. Folding ASCII is cheap as well, and needs no shortcut.
    if options & UTF8PROC_COMPAT.rawValue == 0 && utf8.allSatisfy({ $0 < 0x80 }) { return self }
    var copy = self
    return copy.withUTF8 { bytes in
      var result: UnsafeMutablePointer<UInt8>?
      let count = unsafe utf8proc_map(bytes.baseAddress, bytes.count, &result, utf8proc_option_t(options))
      // Allocated by utf8proc; freed here.
      defer { unsafe free(result) }
      // utf8proc fails only for invalid UTF-8, which a String never has, and if memory is exhausted.
      guard count >= 0, let result = unsafe result else { preconditionFailure("utf8proc_map: \(count)") }
      return unsafe String(decoding: UnsafeBufferPointer(start: result, count: count), as: UTF8.self)
    }
  }
}
