internal import CLibwebsockets
internal import Logging
internal import Synchronization

/// Carries libwebsockets' own log, which is one for the process, to the logger of the server that was made last.
enum LwsLog {
  private static let logger = Mutex<Logger?>(nil)

  static func bridge(to logger: Logger) {
    var lws = logger
    lws[metadataKey: "source"] = "libwebsockets"
    self.logger.withLock { $0 = lws }
    unsafe lws_set_log_level(Int32(LLL_ERR | LLL_WARN)) { level, line in
      let text = unsafe String(cString: line!)
      LwsLog.emit(level, text)
    }
  }

  private static func emit(_ level: Int32, _ line: String) {
    let message = line.drop { $0.isWhitespace }.filter { !$0.isNewline }
    guard !message.isEmpty, let logger = logger.withLock({ $0 }) else { return }
    logger.log(level: level == Int32(LLL_ERR) ? .error : .warning, "\(message)")
  }
}
