#if SQLite
  public import ArgumentParser
  import Confab
  import ConfabChat
  public import ConfabSQLite
  import Logging

  /// Options for the history file.
  struct HistoryFileOptions: ParsableArguments {
    @Option(
      help: ArgumentHelp(
        """
        Time when a message is written to the history file: 'normal' is within 100 ms after its delivery, 'full' is \
        before its delivery. While the file cannot be written, messages are delivered anyway.
        """, valueName: "mode"))
    var durability = SQLiteEngine.Durability.normal

    @Option(
      help: ArgumentHelp(
        """
        Maximum size of the history file, at least 1MiB. If the file would be larger, the rooms that have been inactive \
        longest are deleted.
        """, valueName: "size"))
    var maxHistoryFileSize = ByteCount(SQLiteEngine.defaultFileSize)

    /// Returns the problems of these options for the file `history`; nil means without a file.
    func problems(for history: String?) -> [Problem] {
      var problems: [Problem] = []
      if history == nil {
        let idle = [
          ("durability", durability != .normal),
          ("maxHistoryFileSize", maxHistoryFileSize.bytes != SQLiteEngine.defaultFileSize),
        ]
        problems += idle.filter(\.1).map { name, _ in Problem([name, "history"]) { "\($0[0]) needs \($0[1])" } }
      }
      if let range = SQLiteEngine.problem(ofFileSize: maxHistoryFileSize.bytes) {
        problems.append(Problem(["maxHistoryFileSize"]) { "\($0[0]) \(range)" })
      }
      if let history, let reason = reasonNotToWrite(history) {
        problems.append(Problem(["history"]) { "\($0[0]): '\(history)' cannot be written: \(reason)" })
      }
      return problems
    }

    func makeEngine(_ history: String, _ options: ChatOptions, _ logger: Logger) throws -> SQLiteEngine {
      try SQLiteEngine(
        file: history, durability: durability, maxFileSize: maxHistoryFileSize.bytes, options: options, logger: logger)
    }
  }

  extension SQLiteEngine.Durability: ExpressibleByArgument {}
  extension SQLiteEngine.Durability: Described {
    static var description: String { allCases.map(\.rawValue).joined(separator: " or ") }
  }
#endif
