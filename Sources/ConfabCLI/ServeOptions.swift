import ArgumentParser
import Confab
import ConfabChat
import Logging

/// The options of the server: the one table of them, which the command line, the environment and the file are read by.
struct ServeOptions: ParsableArguments {
  private static let defaults = Configuration()

  @Option(
    help: ArgumentHelp(
      """
      Settings in JSON: options by their names, without dashes. What the command line or the environment says goes \
      before it.
      """, valueName: "file"))
  var config: String?

  @Option(help: "Host or address to listen on. (default: this machine only, 127.0.0.1 and ::1)")
  var host: String?

  @Option(help: "Port to listen on; 0 takes a free one.")
  var port = defaults.port

  @Flag(
    inversion: .prefixedNo,
    help: "Let another server, started with the same option, listen on the same port at the same time.")
  var reusePort = false

  @Option(
    help: ArgumentHelp(
      "Certificate chain in PEM: https and wss instead of http and ws. SIGHUP reads it again.", valueName: "file"))
  var tlsCert: String?

  @Option(help: ArgumentHelp("The certificate's private key in PEM.", valueName: "file"))
  var tlsKey: String?

  @Option(help: ArgumentHelp("Folder to serve in place of the chat page.", valueName: "dir"))
  var webRoot: String?

  @Option(
    help: ArgumentHelp(
      "trace, debug, info, notice, warning, error or critical. Logs go to standard error.", valueName: "level"))
  var logLevel = Logger.Level.notice

  @Option(help: ArgumentHelp("text, or json: an object for each event, in a line.", valueName: "format"))
  var logFormat = LogFormat.text

  @Option(help: ArgumentHelp("Event loops, each a thread.", valueName: "count"))
  var loops = defaults.loops

  @Flag(inversion: .prefixedNo, help: "Compress messages for clients that offer it (permessage-deflate).")
  var compression = defaults.offersCompression

  @OptionGroup(title: "Who is let in") var access: AccessOptions
  @OptionGroup(title: "Where messages are kept") var engine: EngineOptions
  @OptionGroup(title: "Limits") var limits: LimitOptions
  @OptionGroup(title: "Limits of the chat") var chatLimits: ChatLimitOptions

  @Option(
    help: ArgumentHelp("The kernel's send buffer of each connection; 0 leaves it to the kernel.", valueName: "size"))
  var sendBuffer = ByteCount(defaults.sendBufferSize)

  @Option(
    help: ArgumentHelp(
      "Over how long clients are sent elsewhere, before the server stops; 0 closes all at once.", valueName: "seconds"))
  var drain = Seconds(defaults.drainTime)

  @Option(help: ArgumentHelp("How long clients get to close when the server stops.", valueName: "seconds"))
  var stopTimeout = Seconds(defaults.stopTimeout)

  @Option(
    help: ArgumentHelp(
      "Where /metrics (Prometheus), /livez and /readyz are answered, for the operator alone. (default: nowhere)",
      valueName: "host:port"))
  var admin: ListenAddress?

  var chatOptions: ChatOptions { chatLimits.options }

  func makeEngine(_ logger: Logger) throws -> any Engine {
    try engine.makeEngine(chatOptions, maxMessageSize: makeConfiguration(logger).maxMessageSize, logger)
  }

  /// What the options say, as the library has it.
  func makeConfiguration(_ logger: Logger) -> Configuration {
    var configuration = Configuration(
      host: host, port: port, mounts: [webRoot.map { Mount(directory: $0) } ?? .chatPage], logger: logger)
    configuration.loops = loops
    if let tlsCert, let tlsKey { configuration.tls = TLS(certificateFile: tlsCert, keyFile: tlsKey) }
    configuration.offersCompression = compression
    access.apply(to: &configuration)
    limits.apply(to: &configuration)
    engine.apply(to: &configuration)
    configuration.sendBufferSize = sendBuffer.bytes
    configuration.stopTimeout = stopTimeout.duration
    configuration.drainTime = drain.duration
    configuration.sharesPort = reusePort
    return configuration
  }

  /// All that is wrong with the options beyond what each is by itself.
  var problems: [Problem] {
    let configuration = makeConfiguration(Logger(label: "confab"))
    var problems = configuration.problems + chatOptions.problems + engine.problems(with: configuration)
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
