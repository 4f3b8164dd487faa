import ArgumentParser
import Confab
import ConfabChat
import Logging

#if NATS
  import ConfabNats
#endif
#if SQLite
  import ConfabSQLite
#endif

/// Options for the engine, which orders and stores messages. Builds without an engine have only the option that selects
/// it, to report an error.
struct EngineOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "SQLite file that stores the history, so that rooms survive a restart. (default: none)",
      valueName: "file"))
  var history: String?

  #if SQLite
    @OptionGroup var file: HistoryFileOptions
  #endif

  @Option(
    help: ArgumentHelp(
      """
      URL of a NATS server that stores the history in JetStream, like nats://host:4222 or tls://host:4222. All Confab \
      servers that use the same stream form one chat. May be given several times, for the servers of a NATS cluster. \
      (default: none)
      """,
      valueName: "url"))
  var nats: [NatsURL] = []

  #if NATS
    @OptionGroup var stream: StreamOptions
  #endif

  /// Returns the problems of these options, and of their combination with `configuration`.
  func problems(with configuration: Configuration) -> [Problem] {
    var problems: [Problem] = []
    if history != nil && !nats.isEmpty {
      problems.append(Problem(["nats", "history"]) { "\($0[0]) and \($0[1]) cannot be used together" })
    }
    #if SQLite
      problems += file.problems(for: history)
    #else
      if history != nil { problems.append(Problem(["history"]) { "\($0[0]): this build has no SQLite" }) }
    #endif
    #if NATS
      problems += stream.problems(for: nats, configuration)
    #else
      if !nats.isEmpty { problems.append(Problem(["nats"]) { "\($0[0]): this build has no NATS client" }) }
    #endif
    return problems
  }

  /// Reduces the default maximum message size so that a message fits into NATS with its headers.
  func apply(to configuration: inout Configuration) {
    #if NATS
      if !nats.isEmpty && configuration.maxMessageSize == Configuration().maxMessageSize {
        configuration.maxMessageSize -= JetStreamOptions.maxHeaderSize
      }
    #endif
  }

  func makeEngine(_ options: ChatOptions, maxMessageSize: Int, _ logger: Logger) throws -> any Engine {
    #if NATS
      if !nats.isEmpty {
        var stream = stream.options(nats, options, logger)
        stream.maxMessageSize = maxMessageSize
        return try JetStreamEngine(stream)
      }
    #endif
    #if SQLite
      if let history { return try file.makeEngine(history, options, logger) }
    #endif
    return MemoryEngine()
  }
}

/// The URL of a NATS server. A password in it is not shown.
struct NatsURL: ExpressibleByArgument, CustomStringConvertible {
  let text: String

  /// Accepts any text, because the error for a rejected argument would show a password in it.
  init?(argument: String) { text = argument }

  #if NATS
    var description: String { JetStreamOptions.withoutSecret(text) }
  #else
    var description: String { "nats" }
  #endif
}
