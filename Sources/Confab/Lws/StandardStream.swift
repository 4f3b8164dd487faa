internal import Glibc

/// Standard output and standard error, written at once, without Foundation.
package enum StandardStream: Int32 {
  case output = 1
  case error = 2

  /// Writes as much as can be written.
  package func write(_ text: String) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(rawValue, $0.baseAddress!, $0.count) }
      if count > 0 { rest = rest.dropFirst(count) } else if errno != EINTR { return }
    }
  }
}
