public import ArgumentParser
import Confab
import ConfabChat
import ConfabNats
public import ConfabSQLite
import Logging

/// Options for the engine, which orders and stores messages.
struct EngineOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "SQLite file that stores the history, so that rooms survive a restart. (default: none)",
      valueName: "file"))
  var history: String?

  @Option(
    help: ArgumentHelp(
      """
      When a message is written to the file: 'normal' within 100 ms after its delivery, 'full' before its delivery. While \
      the file cannot be written, messages are delivered anyway.
      """, valueName: "mode"))
  var durability = SQLiteEngine.Durability.normal

  @Option(
    help: ArgumentHelp(
      """
      Maximum size of the history file, at least 1MiB. Beyond it, the rooms that have been inactive longest are deleted.
      """,
      valueName: "size"))
  var maxHistoryFileSize = ByteCount(1 << 30)

  @Option(
    help: ArgumentHelp(
      """
      URL of a NATS server that stores the history in JetStream, like nats://host:4222 or tls://host:4222. All Confab \
      servers that use the same stream form one chat. May be given several times, for the servers of a NATS cluster. \
      (default: none)
      """,
      valueName: "url"))
  var nats: [NatsURL] = []

  @OptionGroup var stream: StreamOptions

  /// Returns the problems of these options, and of their combination with `configuration`.
  func problems(with configuration: Configuration) -> [Problem] {
    var idle: [(String, String)] = []
    if history == nil {
      if durability != .normal { idle.append(("durability", "history")) }
      if maxHistoryFileSize.bytes != 1 << 30 { idle.append(("maxHistoryFileSize", "history")) }
    }
    if nats.isEmpty { idle += stream.given.map { ($0, "nats") } }
    var problems = idle.map { name, needed in Problem([name, needed]) { "\($0[0]) needs \($0[1])" } }
    if history != nil && !nats.isEmpty {
      problems.append(Problem(["nats", "history"]) { "\($0[0]) and \($0[1]) cannot be used together" })
    }
    if maxHistoryFileSize.bytes < 1 << 20 {
      problems.append(Problem(["maxHistoryFileSize"]) { "\($0[0]) must be at least 1MiB" })
    }
    if let history, let reason = reasonNotToWrite(history) {
      problems.append(Problem(["history"]) { "\($0[0]): '\(history)' cannot be written: \(reason)" })
    }
    if nats.isEmpty { return problems }
    return problems + streamProblems(configuration.maxMessageSize + JetStreamOptions.maxHeaderSize)
  }

  private func streamProblems(_ messageSize: Int) -> [Problem] {
    let options = stream.options(nats, ChatOptions(), Logger(label: "confab"))
    var problems = options.problems
    if (1..<messageSize).contains(options.maxBytes) {
      problems.append(
        Problem(["maxBytes", "maxMessageSize"]) {
          "\($0[0]) must be at least 8KiB more than \($0[1]): a larger message would be deleted at once"
        })
    }
    guard problems.isEmpty else { return problems }
    do throws(JetStreamError) {
      try options.validate()
    } catch {
      return [Problem(["urls"]) { _ in error.description }]
    }
    return []
  }

  /// Reduces the default maximum message size so that a message fits into NATS with its headers.
  func apply(to configuration: inout Configuration) {
    if !nats.isEmpty && configuration.maxMessageSize == Configuration().maxMessageSize {
      configuration.maxMessageSize -= JetStreamOptions.maxHeaderSize
    }
  }

  func makeEngine(_ options: ChatOptions, maxMessageSize: Int, _ logger: Logger) throws -> any Engine {
    if !nats.isEmpty {
      var stream = stream.options(nats, options, logger)
      stream.maxMessageSize = maxMessageSize
      return try JetStreamEngine(stream)
    }
    guard let history else { return MemoryEngine() }
    return try SQLiteEngine(
      file: history, durability: durability, maxFileSize: maxHistoryFileSize.bytes, options: options, logger: logger)
  }
}

extension SQLiteEngine.Durability: ExpressibleByArgument {}
