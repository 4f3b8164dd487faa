public import ArgumentParser
import Confab
import ConfabChat
import ConfabNats
public import ConfabSQLite
import Logging

/// Where messages get their order, and where they are kept.
struct EngineOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Keep what is said in this file, a database of SQLite: rooms outlive the server. (default: in memory)",
      valueName: "file"))
  var history: String?

  @Option(
    help: ArgumentHelp(
      "When a message is on the disk: 'normal' is within 100 ms, 'full' before anybody gets it.", valueName: "mode"))
  var durability: SQLiteEngine.Durability?

  @Option(
    help: ArgumentHelp(
      "The most bytes of that file. Over it: the rooms silent for longest are forgotten. (default: 1GiB)",
      valueName: "size"))
  var maxHistoryFileSize: ByteCount?

  @Option(
    help: ArgumentHelp(
      """
      Keep what is said in NATS JetStream at nats://host:4222, or tls://: all servers of the same stream are one chat. \
      May be given several times, for servers of one cluster. (default: in memory)
      """,
      valueName: "url"))
  var nats: [NatsURL] = []

  @OptionGroup var stream: StreamOptions

  /// What needs something else.
  var problems: [Problem] {
    var idle: [(String, String)] = []
    if history == nil {
      if durability != nil { idle.append(("durability", "history")) }
      if maxHistoryFileSize != nil { idle.append(("maxHistoryFileSize", "history")) }
    }
    if nats.isEmpty { idle += stream.given.map { ($0, "nats") } }
    var problems = idle.map { name, needed in Problem([name, needed]) { "\($0[0]) needs \($0[1])" } }
    if history != nil && !nats.isEmpty {
      problems.append(Problem(["nats", "history"]) { "\($0[0]) and \($0[1]) exclude each other" })
    }
    if !nats.isEmpty {
      do throws(JetStreamError) {
        try stream.options(nats, ChatOptions(), Logger(label: "confab")).validate()
      } catch {
        problems.append(Problem(["nats"]) { _ in error.description })
      }
    }
    return problems
  }

  /// A message must have a place in NATS with its headers, too: unless something else has been asked for.
  func apply(to configuration: inout Configuration) {
    if !nats.isEmpty && configuration.maxMessageSize == Configuration().maxMessageSize {
      configuration.maxMessageSize -= 8 << 10
    }
  }

  func makeEngine(_ options: ChatOptions, _ logger: Logger) throws -> any Engine {
    if !nats.isEmpty { return try JetStreamEngine(stream.options(nats, options, logger)) }
    guard let history else { return MemoryEngine() }
    return try SQLiteEngine(
      file: history, durability: durability ?? .normal, maxFileSize: maxHistoryFileSize?.bytes ?? 1 << 30,
      options: options, logger: logger)
  }
}

extension SQLiteEngine.Durability: ExpressibleByArgument {}
