internal import CLibwebsockets
internal import Synchronization

/// Standard output and standard error, written at once, without Foundation.
package enum StandardStream: Int32 {
  case output = 1
  case error = 2

  /// Writes all of a text, and waits until it is taken.
  package func write(_ text: String) { _ = write(Array(text.utf8)[...]) { true } }

  /// Writes a line without waiting. If a pipe is full because its reader does not read, or a terminal is stopped, the
  /// line is lost. The next line that is written follows a line with the number of lost lines. Any thread.
  package func writeLine(_ line: String) {
    StandardStream.lines.withLock { state in
      // Ends a line that was truncated.
      var text = state.isCut ? "\n" : ""
      if state.lost > 0 { text += "confab: \(state.lost) log lines were lost, because they were not read\n" }
      let bytes = Array("\(text)\(line)\n".utf8)
      let rest = write(bytes[...]) { takesMore }
      if rest.count == bytes.count {
        state.lost += 1
      } else {
        (state.lost, state.isCut) = (rest.isEmpty ? 0 : 1, !rest.isEmpty)
      }
    }
  }

  private static let lines = Mutex((lost: 0, isCut: false))

  /// Whether PIPE_BUF bytes can be written without waiting: POLLOUT promises this for a pipe.
  private var takesMore: Bool {
    var one = pollfd(fd: rawValue, events: Int16(POLLOUT), revents: 0)
    return unsafe poll(&one, 1, 0) > 0
  }

  /// Writes in parts, each only if `mayWrite` returns true. Returns the rest.
  private func write(_ bytes: ArraySlice<UInt8>, while mayWrite: () -> Bool) -> ArraySlice<UInt8> {
    var rest = bytes
    while !rest.isEmpty, mayWrite() {
      let part = rest.prefix(Int(PIPE_BUF))
      let count = unsafe part.withUnsafeBytes { unsafe CLibwebsockets.write(rawValue, $0.baseAddress!, $0.count) }
      if count > 0 { rest = rest.dropFirst(count) } else if shim_errno() != EINTR { break }
    }
    return rest
  }
}
