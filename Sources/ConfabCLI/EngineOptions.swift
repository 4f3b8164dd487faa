public import ArgumentParser
import Confab
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

  /// What needs something else.
  var problems: [Problem] {
    guard history == nil else { return [] }
    let idle = [durability == nil ? nil : "durability", maxHistoryFileSize == nil ? nil : "maxHistoryFileSize"]
    return idle.compactMap { $0 }.map { name in Problem([name, "history"]) { "\($0[0]) needs \($0[1])" } }
  }

  func makeEngine(_ options: ChatOptions, _ logger: Logger) throws -> any Engine {
    guard let history else { return MemoryEngine() }
    return try SQLiteEngine(
      file: history, durability: durability ?? .normal, maxFileSize: maxHistoryFileSize?.bytes ?? 1 << 30,
      options: options, logger: logger)
  }
}

extension SQLiteEngine.Durability: ExpressibleByArgument {}
