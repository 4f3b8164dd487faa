import ArgumentParser
import Confab
import ConfabChat

/// Checks the configuration only: the port may be in use.
struct Check: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check the configuration: print its errors or, if there are none, all settings and their sources.",
    discussion: """
      Takes the options of 'confab serve', and reads the same environment and file. Errors are printed on standard \
      error, one per line, and the exit code is 1. If there are none, every setting is printed on standard output, \
      with its source.
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
  /// The settings of this process.
  static var ofProcess: Settings {
    var arguments = CommandLine.arguments.dropFirst()
    // Skips the command's name.
    if let first = arguments.first, !first.hasPrefix("-") { arguments = arguments.dropFirst() }
    return Settings(commandLine: Array(arguments), environment: environmentVariables)
  }
}
