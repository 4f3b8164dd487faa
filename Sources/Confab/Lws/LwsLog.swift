internal import CLibwebsockets
internal import Logging
internal import Synchronization

/// Forwards libwebsockets' log, which is one for the process, to the logger of the server that was made last.
enum LwsLog {
  private static let logger = Mutex<Logger?>(nil)
  private static let limiter = Mutex(LogLimiter())

  static func bridge(to logger: Logger) {
    var lws = logger
    lws[metadataKey: "source"] = "libwebsockets"
    self.logger.withLock { $0 = lws }
    unsafe lws_set_log_level(levels, received)
  }

  /// Gives a context its own log. `log` must live as long as the context.
  static func use(_ log: UnsafeMutablePointer<shim_log>, in info: inout lws_context_creation_info) {
    unsafe shim_use_log(&info, log, levels, received)
  }

  private static let levels = Int32(LLL_ERR | LLL_WARN)

  private static let received: @convention(c) (Int32, UnsafePointer<CChar>?) -> Void = { level, line in
    // Not an error: lws logs this for each socket that it is handed with a request.
    if unsafe strstr(line!, ": calling service") != nil { return }
    // The second loop's context cannot watch the system's routes, which the server does not need (4.3.3).
    if unsafe strstr(line!, ": netlink bind failed") != nil { return }
    let text = unsafe String(cString: line!)
    LwsLog.emit(level, text)
  }

  /// Limits the rate of lines and escapes them, because many lines of lws contain data from peers.
  private static func emit(_ level: Int32, _ line: String) {
    let message = line.drop { $0.isWhitespace }.filter { !$0.isNewline }
    guard !message.isEmpty, let logger = logger.withLock({ $0 }), let unsaid = limiter.withLock({ $0.admit() }) else {
      return
    }
    let metadata: Logger.Metadata = unsaid > 0 ? ["leftOut": .stringConvertible(unsaid)] : [:]
    logger.log(
      level: level == Int32(LLL_ERR) ? .error : .warning, "\(String(message).printable)", metadata: metadata)
  }
}
