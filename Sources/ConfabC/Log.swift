internal import CConfab
internal import Confab
internal import Logging
internal import Synchronization

/// The program's log function, which is used until the server is destroyed. libwebsockets' own log goes to the logger
/// of the server that was created last, even after that server is destroyed.
final class LogTarget: Sendable {
  // nonisolated(unsafe): the program gets its pointer back, in one call at a time.
  @safe private struct Function {
    nonisolated(unsafe) let call: @convention(c) (Int32, UnsafePointer<CChar>?, UnsafeMutableRawPointer?) -> Void
    nonisolated(unsafe) let userData: UnsafeMutableRawPointer?
  }
  private let function: Mutex<Function?>

  init(_ config: confab_config) {
    let target = unsafe config.log.map { unsafe Function(call: $0, userData: config.log_user_data) }
    function = Mutex(target)
  }

  var isSet: Bool { function.withLock { $0 != nil } }

  /// Waits until no call is running, and prevents further calls.
  func end() { function.withLock { $0 = nil } }

  func log(_ level: Int32, _ line: String) {
    function.withLock { function in
      guard let function else { return }
      unsafe line.withCString { unsafe function.call(level, $0, function.userData) }
    }
  }
}

private let levels: [Logger.Level] = [.trace, .debug, .info, .notice, .warning, .error, .critical]

/// Passes log lines to a ``LogTarget``.
private struct LogFunction: LogHandler {
  let target: LogTarget
  var logLevel = Logger.Level.notice
  var metadata: Logger.Metadata = [:]
  var metadataProvider: Logger.MetadataProvider?

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let fields = metadata.merging(event.metadata ?? [:]) { $1 }
    target.log(Int32(levels.firstIndex(of: event.level) ?? 0), "\(fields.lineHead)\(event.message)")
  }
}

extension confab_config {
  func logger(_ target: LogTarget) throws(CError) -> Logger {
    guard unsafe (CONFAB_LOG_TRACE.rawValue...CONFAB_LOG_NONE.rawValue).contains(UInt32(bitPattern: log_level)) else {
      throw unsafe CError(CONFAB_ERROR_CONFIGURATION, "log_level must be 0 to 7, not \(log_level)")
    }
    guard unsafe log_level < levels.count else { return Logger(label: "confab") { _ in SwiftLogNoOpLogHandler() } }
    var logger = Logger(label: "confab") { label in
      if target.isSet { return LogFunction(target: target) }
      return StreamLogHandler.standardError(label: label)
    }
    logger.logLevel = unsafe levels[Int(log_level)]
    return logger
  }
}
