/// A file that is open for reading. Its descriptor is closed with this object, unless ``take()`` has been called.
final class OpenFile {
  private var descriptor: Int32
  let validators: Validators
  let size: Int
  /// The end of the file's name, from the last dot on, in lower case; empty without a dot.
  let suffix: String

  /// Nil unless `path` is a regular file that may be read.
  init?(_ path: String) {
    descriptor = openForReading(path)
    guard descriptor >= 0 else { return nil }
    guard let status = FileStatus(of: descriptor), status.kind == .regular else {
      closeFile(descriptor)
      return nil
    }
    size = status.size
    // A digest, so that the tag does not disclose these numbers.
    validators = Validators(
      tag: sha256(Array(status.version.map { "\($0)" }.joined(separator: " ").utf8)).prefix(10).hexadecimal,
      modified: HttpDate(seconds: Int64(status.modified.seconds)))
    let suffix = path.utf8.reversed().prefix { $0 != UInt8(ascii: ".") }
    let isPlain = suffix.count < min(16, path.utf8.count) && suffix.allSatisfy(\.isAlphanumeric)
    self.suffix = isPlain ? "." + String(decoding: suffix.reversed(), as: UTF8.self).lowercased() : ""
  }

  deinit { if descriptor >= 0 { closeFile(descriptor) } }

  func take() -> Int32 {
    defer { descriptor = -1 }
    return descriptor
  }
}

extension ArraySlice<UInt8> {
  fileprivate var hexadecimal: String {
    map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
}

extension UInt8 {
  fileprivate var isAlphanumeric: Bool { 48...57 ~= self || 65...90 ~= self || 97...122 ~= self }
}
