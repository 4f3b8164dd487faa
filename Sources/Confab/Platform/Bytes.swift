internal import CLibwebsockets

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
