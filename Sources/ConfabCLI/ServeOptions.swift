import ArgumentParser
import Confab
import ConfabChat
import Logging

/// All options of the server, for the command line, the environment and the file.
struct ServeOptions: ParsableArguments {
  private static let defaults = Configuration()

  @Option(
    help: ArgumentHelp(
      """
      JSON file with settings. The members of the JSON object have the names of options without the leading dashes. \
      The command line and the environment take precedence.
      """, valueName: "file"))
  var config: String?

  @Option(
    help: """
      Host name or address to listen on, or unix: and the path of a Unix domain socket. (default: loopback only, \
      127.0.0.1 and ::1)
      """)
  var host: String?

  @Option(help: "Port to listen on; 0 picks a free port.")
  var port = defaults.port

  @Flag(
    inversion: .prefixedNo,
    help: "Let other servers that have this option listen on the same port at the same time.")
  var reusePort = false

  @Option(
    help: ArgumentHelp(
      """
      Certificate chain (PEM). With a certificate, the server speaks https and wss instead of http and ws. SIGHUP \
      reloads the file.
      """, valueName: "file"))
  var tlsCert: String?

  @Option(help: ArgumentHelp("Private key (PEM) of the certificate. SIGHUP reloads the file.", valueName: "file"))
  var tlsKey: String?

  @Option(help: ArgumentHelp("Folder to serve instead of the chat page.", valueName: "dir"))
  var webRoot: String?

  @Option(
    help: ArgumentHelp(
      "Log level: trace, debug, info, notice, warning, error or critical. Logs go to standard error.",
      valueName: "level"))
  var logLevel = Logger.Level.notice

  @Option(help: ArgumentHelp("Log format: text, or json with one object per line.", valueName: "format"))
  var logFormat = LogFormat.text

  @Option(help: ArgumentHelp("Number of event loops. Each loop has its own thread.", valueName: "count"))
  var loops = defaults.loops

  @Flag(inversion: .prefixedNo, help: "Compress messages for clients that offer permessage-deflate.")
  var compression = defaults.offersCompression

  @OptionGroup(title: "Access") var access: AccessOptions
  @OptionGroup(title: "Users") var auth: AuthOptions
  @OptionGroup(title: "History") var engine: EngineOptions
  @OptionGroup(title: "Limits") var limits: LimitOptions
  @OptionGroup(title: "Chat limits") var chatLimits: LimitTable<ChatOptions>

  @Option(
    help: ArgumentHelp(
      """
      Address of a second listener, for /metrics (Prometheus), /livez and /readyz. Only the operator should be able to \
      reach it. (default: none)
      """,
      valueName: "host:port"))
  var admin: ListenAddress?

  var chatOptions: ChatOptions {
    var options = ChatOptions()
    chatLimits.apply(to: &options)
    return options
  }

  func makeEngine(_ logger: Logger) throws -> any Engine {
    try engine.makeEngine(chatOptions, maxMessageSize: makeConfiguration(logger).maxMessageSize, logger)
  }

  /// Returns the library's configuration for these options.
  func makeConfiguration(_ logger: Logger) -> Configuration {
    var configuration = Configuration(
      host: host, port: port, mounts: [webRoot.map { Mount(directory: $0) } ?? .chatPage], logger: logger)
    configuration.loops = loops
    if let tlsCert, let tlsKey { configuration.tls = TLS(certificateFile: tlsCert, keyFile: tlsKey) }
    configuration.offersCompression = compression
    access.apply(to: &configuration)
    limits.apply(to: &configuration)
    engine.apply(to: &configuration)
    configuration.sharesPort = reusePort
    return configuration
  }

  /// All problems of the options except those of parsing.
  var problems: [Problem] {
    let configuration = makeConfiguration(Logger(label: "confab"))
    var problems =
      configuration.problems + chatOptions.problems + engine.problems(with: configuration)
      + auth.problems
    for (name, setting) in settings where setting.value as? String == "" {
      problems.append(Problem([name]) { "\($0[0]) must not be empty" })
    }
    if let admin, admin.collides(with: host, port) {
      problems.append(Problem(["admin", "port"]) { "\($0[0]) and \($0[1]) are the same address" })
    }
    if (tlsCert == nil) != (tlsKey == nil) {
      problems.append(Problem(["tlsCert", "tlsKey"]) { "\($0[0]) and \($0[1]) need each other" })
    }
    do {
      try configuration.tls?.check()
    } catch {
      problems.append(Problem(["tlsCert"]) { _ in error.message })
    }
    return problems
  }
}
