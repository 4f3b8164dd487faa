internal import CConfab
internal import Confab
internal import ConfabChat
internal import ConfabSQLite

#if NATS
  internal import ConfabNats
#endif

extension confab_config {
  /// Returns the engine of a chat with the settings in this struct: NATS, a history file, or memory.
  func engine(_ options: ChatOptions, _ log: LogTarget) throws(CError) -> any Engine {
    guard let durability = unsafe durabilities[durability] else {
      throw unsafe CError(CONFAB_ERROR_CONFIGURATION, "durability must be 0 or 1, not \(durability)")
    }
    let size = unsafe Int(max_history_file_size)
    if let range = SQLiteEngine.problem(ofFileSize: size) {
      throw CError(CONFAB_ERROR_CONFIGURATION, "max_history_file_size \(range)")
    }
    if unsafe nats_urls != nil {
      guard unsafe history_file == nil else {
        throw CError(CONFAB_ERROR_CONFIGURATION, "history_file and nats_urls exclude each other")
      }
      return try unsafe natsEngine(options, log)
    }
    guard unsafe history_file != nil else { return MemoryEngine() }
    let file = try unsafe string(history_file, "history_file")
    let logger = try unsafe logger(log)
    do throws(ConfabError) {
      return try SQLiteEngine(
        file: file, durability: durability, maxFileSize: size, options: options, logger: logger)
    } catch {
      throw CError(error)
    }
  }

  private var durabilities: [Int32: SQLiteEngine.Durability] {
    [Int32(CONFAB_DURABILITY_NORMAL.rawValue): .normal, Int32(CONFAB_DURABILITY_FULL.rawValue): .full]
  }

  #if NATS
    private func natsEngine(_ options: ChatOptions, _ log: LogTarget) throws(CError) -> any Engine {
      var stream = JetStreamOptions(urls: try unsafe strings(nats_urls, "a URL of nats_urls"))
      if unsafe nats_stream != nil { stream.stream = try unsafe string(nats_stream, "nats_stream") }
      stream.replicas = unsafe Int(nats_replicas)
      stream.maxBytes = unsafe Int(nats_max_bytes)
      stream.maxMessagesPerRoom = options.maxHistoryMessages
      stream.maxAge = options.maxHistoryAge
      stream.maxMessageSize = unsafe Int(max_message_size)
      if unsafe nats_credentials_file != nil {
        stream.credentialsFile = try unsafe string(nats_credentials_file, "nats_credentials_file")
      }
      if unsafe nats_ca_file != nil { stream.caFile = try unsafe string(nats_ca_file, "nats_ca_file") }
      if unsafe nats_certificate_file != nil {
        stream.certificateFile = try unsafe string(nats_certificate_file, "nats_certificate_file")
      }
      if unsafe nats_key_file != nil { stream.keyFile = try unsafe string(nats_key_file, "nats_key_file") }
      stream.logger = try unsafe logger(log)
      if let problem = stream.problems.first {
        throw CError(CONFAB_ERROR_CONFIGURATION, problem.message { "nats_" + memberName($0) })
      }
      do throws(JetStreamError) {
        return try JetStreamEngine(stream)
      } catch {
        throw CError(CONFAB_ERROR_CONFIGURATION, error.description)
      }
    }
  #else
    private func natsEngine(_ options: ChatOptions, _ log: LogTarget) throws(CError) -> any Engine {
      throw CError(CONFAB_ERROR_CONFIGURATION, "nats_urls: this build has no NATS client")
    }
  #endif
}
