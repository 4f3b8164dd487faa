internal import CLibwebsockets
internal import Synchronization

/// Deflates messages for one ``Compression``, each by itself.
@safe final class Deflater: @unchecked Sendable {
  // @unchecked: used by one thread at a time, see `idle`.

  /// Compression level, 1 (fast) to 9. Level 6 makes texts of 1 to 16 KiB 2 to 9 % shorter, and takes up to twice as
  /// long.
  private static let level: Int32 = 1
  private static let idle = Mutex<[Compression: [Deflater]]>([:])

  /// Number of bytes between checks whether at least half has been saved so far. If not, deflating is given up: data
  /// that hardly shrinks takes the event loop 35 ms per MiB.
  private static let step = 64 << 10

  private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)

  private init(_ compression: Compression) {
    unsafe stream.initialize(to: z_stream())
    let failure = unsafe shim_deflate_init(stream, Deflater.level, -compression.windowBits)
    precondition(failure == Z_OK, "zlib has no memory")
  }

  deinit {
    unsafe deflateEnd(stream)
    unsafe stream.deallocate()
  }

  /// Returns the payload of a compressed message (RFC 7692, section 7.2.1); nil if it would not be shorter, or
  /// deflating was given up. Any thread.
  static func deflate(_ bytes: Span<UInt8>, _ compression: Compression) -> [UInt8]? {
    // zlib's state is large. One is made for each thread that deflates at the same time.
    let deflater = idle.withLock { $0[compression]?.popLast() } ?? Deflater(compression)
    defer { idle.withLock { $0[compression, default: []].append(deflater) } }
    return deflater.deflate(bytes)
  }

  private func deflate(_ bytes: Span<UInt8>) -> [UInt8]? {
    unsafe deflateReset(stream)
    let capacity = Int(unsafe deflateBound(stream, UInt(bytes.count))) + 16
    let output = unsafe [UInt8](unsafeUninitializedCapacity: capacity) { output, count in
      unsafe stream.pointee.next_out = output.baseAddress
      unsafe stream.pointee.avail_out = UInt32(output.count)
      guard feed(bytes) else { return }
      // A flush ends with an empty block, 00 00 ff ff, which is left out.
      count = unsafe capacity - Int(stream.pointee.avail_out) - 4
      precondition(count < capacity - 4, "deflateBound() was too low")
    }
    if output.isEmpty { return nil }
    return output.count < bytes.count ? output : nil
  }

  /// Deflates all bytes. Returns false if it gives up.
  private func feed(_ bytes: Span<UInt8>) -> Bool {
    unsafe bytes.withUnsafeBufferPointer { input in
      unsafe stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
      var end = 0
      while true {
        end = min(end + Deflater.step, input.count)
        unsafe stream.pointee.avail_in = UInt32(end) - UInt32(stream.pointee.total_in)
        let isLast = end == input.count
        unsafe _ = CLibwebsockets.deflate(stream, isLast ? Z_SYNC_FLUSH : Z_NO_FLUSH)
        if isLast { return true }
        if unsafe 2 * stream.pointee.total_out > stream.pointee.total_in { return false }
      }
    }
  }
}

/// Reasons why a message cannot be inflated: it would be longer than the limit, or is not DEFLATE.
enum InflateError: Error { case tooBig, notDeflate }

/// Inflates compressed messages, each by itself. One for each event loop. Loop thread only.
@safe final class Inflater {
  /// Step in which output that does not fit in the buffer is inflated.
  private static let step = 64 << 10

  private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)

  init() {
    unsafe stream.initialize(to: z_stream())
    // The largest window, which covers the window of every client.
    let failure = unsafe shim_inflate_init(stream, -15)
    precondition(failure == Z_OK, "zlib has no memory")
  }

  deinit {
    unsafe inflateEnd(stream)
    unsafe stream.deallocate()
  }

  /// Returns the message, of at most `limit` bytes, that `payload` inflates to (RFC 7692, section 7.2.2).
  func inflate(_ payload: [UInt8], limit: Int) throws(InflateError) -> [UInt8] {
    unsafe inflateReset(stream)
    var output: [UInt8] = []
    output.reserveCapacity(min(limit + 1, max(payload.count * 4, 256)))
    try feed(payload, into: &output, limit)
    try feed([0, 0, 0xFF, 0xFF], into: &output, limit)
    // The data must end with a block, on a whole byte (zlib.h, inflate).
    guard unsafe stream.pointee.data_type & 0xFF == 0x80 else { throw .notDeflate }
    return output
  }

  private func feed(_ input: [UInt8], into output: inout [UInt8], _ limit: Int) throws(InflateError) {
    var result = Z_OK
    unsafe input.withUnsafeBufferPointer { input in
      unsafe stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
      unsafe stream.pointee.avail_in = UInt32(input.count)
      repeat {
        let room = min(Inflater.step, limit + 1 - output.count)
        output.append(addingCapacity: room) { free in
          unsafe free.withUnsafeMutableBufferPointer { free, count in
            unsafe stream.pointee.next_out = free.baseAddress
            unsafe stream.pointee.avail_out = UInt32(room)
            result = unsafe CLibwebsockets.inflate(stream, Z_SYNC_FLUSH)
            count = unsafe room - Int(stream.pointee.avail_out)
          }
        }
        // Other blocks may follow a final block (RFC 7692, section 7.2.3.4).
        if result == Z_STREAM_END { result = unsafe inflateReset(stream) }
        // All input is read, and there was room for all of its output.
        if unsafe stream.pointee.avail_in == 0 && stream.pointee.avail_out > 0 { break }
      } while result == Z_OK && output.count <= limit
    }
    if output.count > limit { throw .tooBig }
    // Z_BUF_ERROR: there was nothing more to do.
    if result != Z_OK && result != Z_BUF_ERROR { throw .notDeflate }
  }
}
