internal import CLibwebsockets
internal import Synchronization

// lws misreads a header whose name is the beginning of one that it knows, such as "X-Auth" or "If". It takes the value,
// the end of the line and the next header's name for a part of the name (lib/roles/http/parsers.c,
// WSI_TOKEN_NAME_PART). The next header is then lost, perhaps Origin, X-Forwarded-For or Content-Length. Where lws
// parses requests, such requests are rejected.

/// Memory in which lws keeps the headers of requests. lws gives addresses within it, but not its bounds.
enum HeaderTables {
  /// Whether lws parses the requests of clients.
  static let areWatched = Atomic(false)
  private static let sizes = Mutex<[UInt: Int]>([:])

  /// The name that lws gives to the memory of a header table.
  static let purpose = "ah data"

  static func add(_ table: UnsafeMutableRawPointer, _ size: Int) {
    unsafe _ = memset(table, 0, size)
    let address = UInt(bitPattern: table)
    sizes.withLock { $0[address] = size }
  }

  static func remove(_ table: UnsafeMutableRawPointer?) {
    let address = UInt(bitPattern: table)
    sizes.withLock { _ = $0.removeValue(forKey: address) }
  }

  /// Returns the table that contains this address.
  fileprivate static func around(_ pointer: UnsafeRawPointer) -> UnsafeRawBufferPointer? {
    let address = UInt(bitPattern: pointer)
    let found = sizes.withLock { sizes in sizes.first { $0.key <= address && address < $0.key + UInt($0.value) } }
    return unsafe found.map {
      unsafe UnsafeRawBufferPointer(start: UnsafeRawPointer(bitPattern: $0.key), count: $0.value)
    }
  }
}

extension OpaquePointer {
  /// Returns whether a name that lws has kept, of a header that it does not know, contains an end of line. True if the
  /// table is not found, so that every request is rejected if lws gives its memory another name.
  ///
  /// - Parameter pointer: the address of a header of the request, within lws's table.
  func hasGarbledHeader(near pointer: UnsafeRawPointer) -> Bool {
    guard let table = unsafe HeaderTables.around(pointer), table.count > 2 else { return true }
    for place in 1..<table.count - 1 where unsafe table[place] == UInt8(ascii: "\n") {
      let (before, after) = unsafe (table[place - 1], table[place + 1])
      // The lengths of names and values, which precede each name, may contain the same byte.
      guard before >= 0x20 || before == UInt8(ascii: "\r"), after > 0x20 else { continue }
      if unsafe hasName(around: place, in: table) { return true }
    }
    return false
  }

  /// Returns whether the byte at `place` is in a name. Eight bytes precede each name: its length, the length of the
  /// value, and the position of the next name.
  private func hasName(around place: Int, in table: UnsafeRawBufferPointer) -> Bool {
    var start = place
    while start >= 8 {
      let length = unsafe Int(table[start - 8]) << 8 | Int(table[start - 7])
      if start + length > place && start + length <= table.count {
        let name = unsafe table.baseAddress!.advanced(by: start).assumingMemoryBound(to: CChar.self)
        if unsafe lws_hdr_custom_length(self, name, Int32(length)) >= 0 { return true }
      }
      start -= 1
    }
    return false
  }
}
