internal import Glibc

// What is done to every byte of every message, at the speed of the C library: loops over a span, which checks each
// index, take several times as long.

extension [UInt8] {
  /// Appends a copy of `bytes`.
  mutating func append(_ bytes: Span<UInt8>) {
    if bytes.isEmpty { return }
    append(addingCapacity: bytes.count) { output in
      unsafe output.withUnsafeMutableBufferPointer { free, count in
        unsafe bytes.withUnsafeBufferPointer { source in
          unsafe _ = memcpy(free.baseAddress! + count, source.baseAddress!, source.count)
        }
        count += bytes.count
      }
    }
  }
}

extension Span<UInt8> {
  /// The index of the first byte from `index` on that is not ASCII, or the count.
  func endOfAscii(from index: Int) -> Int {
    unsafe withUnsafeBytes { bytes in
      var index = index
      while bytes.count - index >= 8 {
        let word = unsafe bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
        if word & 0x8080_8080_8080_8080 != 0 { break }
        index += 8
      }
      while index < bytes.count, unsafe bytes[index] < 0x80 { index += 1 }
      return index
    }
  }
}
