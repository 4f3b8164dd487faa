public import ArgumentParser
import ConfabChat
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

  func validate() throws {
    if history == nil {
      if durability != nil { throw ValidationError("--durability needs --history") }
      if maxHistoryFileSize != nil { throw ValidationError("--max-history-file-size needs --history") }
    }
  }

  func makeEngine(_ options: ChatOptions, _ logger: Logger) throws -> any Engine {
    guard let history else { return MemoryEngine() }
    return try SQLiteEngine(
      file: history, durability: durability ?? .normal, maxFileSize: maxHistoryFileSize?.bytes ?? 1 << 30,
      options: options, logger: logger)
  }
}

extension SQLiteEngine.Durability: ExpressibleByArgument {}
