import ArgumentParser
import Confab

@main
struct ConfabCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "confab",
    abstract: "A group chat and WebSocket server.",
    discussion: """
      'confab' without arguments serves the chat on http://localhost:8080/, on loopback only. 'confab serve --help' \
      lists the options. 'serve' is the default command: 'confab --port 9000' is 'confab serve --port 9000'.
      """,
    version: Version.text,
    subcommands: [Serve.self, Check.self, Health.self, MakeToken.self],
    defaultSubcommand: Serve.self
  )

  /// Runs the command. A failure prints one line on standard error and exits with a code other than 0.
  static func main() async {
    do {
      var command = try parseAsRoot()
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
    } catch {
      let code = exitCode(for: error)
      if code.isSuccess { exit(withError: error) }
      let line = message(for: error).split(whereSeparator: \.isNewline).joined(separator: " ")
      let advice = allowedValue(for: line).map { ": it must be \($0)" } ?? ""
      if !line.isEmpty { StandardStream.error.write("confab: \(line)\(advice)\n") }
      exit(withError: code)
    }
  }

  /// Returns the allowed values of the option whose value `message` rejects.
  private static func allowedValue(for message: String) -> String? {
    guard message.hasSuffix("'"), let start = message.firstRange(of: "' is invalid for '--") else { return nil }
    let name = message[start.upperBound...].prefix { $0 != " " && $0 != "'" }
    return (try? ServeOptions.parse([]))?.settings.first { $0.name == name }?.setting.allowed
  }
}
