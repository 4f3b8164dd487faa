internal import CLibwebsockets

/// The time of day.
package enum WallClock {
  /// Milliseconds since 1970 in UTC, as of the kernel's last tick, a few milliseconds ago. Reading this time takes a
  /// sixth as long as reading the clock. Any thread.
  package static var milliseconds: Int64 {
    var time = timespec()
    unsafe shim_coarse_time(&time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }

  /// The time of day in UTC, `2026-11-25T09:30:00.123Z` (RFC 3339). Any thread.
  package static var text: String {
    var time = timespec()
    unsafe shim_time(&time)
    var date = unsafe tm()
    unsafe gmtime_r(&time.tv_sec, &date)
    var text = [CChar](repeating: 0, count: 32)
    let count = unsafe strftime(&text, text.count, "%Y-%m-%dT%H:%M:%S", &date)
    let seconds = String(decoding: text[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return "\(seconds).\("\(1000 + time.tv_nsec / 1_000_000)".dropFirst())Z"
  }
}
