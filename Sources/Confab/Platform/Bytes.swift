internal import Glibc

// Operations on every byte of every message, at the speed of the C library. Loops over a span check each index, and
// take several times as long.

extension [UInt8] {
  /// Appends a copy of `bytes`.
  package mutating func append(_ bytes: Span<UInt8>) {
    append(addingCapacity: bytes.count) { $0.append(bytes) }
  }
}

extension OutputSpan<UInt8> {
  /// Appends a copy of `bytes`. There must be room for it.
  @inline(__always)
  package mutating func append(_ bytes: Span<UInt8>) {
    precondition(bytes.count <= freeCapacity)
    if bytes.isEmpty { return }
    unsafe withUnsafeMutableBufferPointer { free, count in
      unsafe bytes.withUnsafeBufferPointer { source in
        unsafe _ = memcpy(free.baseAddress! + count, source.baseAddress!, source.count)
      }
      count += bytes.count
    }
  }
}

extension Span<UInt8> {
  /// Returns the index of the first byte from `index` on that is not ASCII, or the count.
  func endOfAscii(from index: Int) -> Int {
    unsafe withUnsafeBytes { bytes in
      guard let start = bytes.baseAddress else { return index }
      var index = index
      while bytes.count - index >= 16 {
        let one = unsafe (start + index).loadUnaligned(as: UInt64.self)
        let other = unsafe (start + index + 8).loadUnaligned(as: UInt64.self)
        if (one | other) & 0x8080_8080_8080_8080 != 0 { break }
        index += 16
      }
      while index < bytes.count, unsafe bytes[index] < 0x80 { index += 1 }
      return index
    }
  }
}
