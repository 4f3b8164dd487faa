import ArgumentParser
import Confab
import FoundationEssentials

/// Looks at the configuration, and at nothing else: the port may be taken.
struct Check: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Tell what is wrong with the configuration, or what is set, and where.",
    discussion: """
      Takes the options of 'confab serve', and looks at the environment and the file as that does. All that is wrong is \
      told on standard error, a line each, and the exit code is 1. If nothing is, every setting is told on standard \
      output, with where it comes from.
      """)

  @OptionGroup var options: ServeOptions

  func run() throws {
    let settings = Settings.ofProcess
    for problem in settings.problems { StandardStream.error.write("confab: \(problem)\n") }
    guard settings.problems.isEmpty else { throw ExitCode.failure }
    for line in settings.lines { StandardStream.output.write("\(line)\n") }
  }
}

extension Settings {
  /// Those that the program has been started with.
  static var ofProcess: Settings {
    var arguments = CommandLine.arguments.dropFirst()
    // The command's name.
    if let first = arguments.first, !first.hasPrefix("-") { arguments = arguments.dropFirst() }
    return Settings(commandLine: Array(arguments), environment: ProcessInfo.processInfo.environment)
  }
}
