import ArgumentParser
import Confab
import ConfabChat
import Logging
import UnixSignals

struct Serve: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Serve the chat and its page. This is what 'confab' alone does.",
    discussion: """
      Browsers open http://localhost:8080/. Any WebSocket client can take part, at ws://localhost:8080/: what one sends \
      comes back to it and goes to everyone else in the room. The path of the address is the room.

      SIGINT and SIGTERM stop it: everyone is told (close code 1001), spread over --drain, and it ends within \
      --stop-timeout after that; a second one ends it at once. It tells systemd how it is (Type=notify), and listens on \
      the sockets that systemd passes, if there are any, in place of --host and --port.

      Sizes are in bytes, or with a unit: 64KiB, 1MiB.
      """
  )

  private static let defaults = Configuration()

  @Option(help: "Host or address to listen on. (default: this machine only, 127.0.0.1 and ::1)")
  var host: String?

  @Option(help: "Port to listen on; 0 takes a free one.")
  var port = defaults.port

  @Flag(help: "Let another server, started with the same option, listen on the same port at the same time.")
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
    help: "trace, debug, info, notice, warning, error or critical. Logs go to standard error. (default: notice)",
    transform: { text in
      guard let level = Logger.Level(rawValue: text) else {
        throw ValidationError(
          "'\(text)' is no log level; there are trace, debug, info, notice, warning, error, critical")
      }
      return level
    })
  var logLevel = Logger.Level.notice

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

  func validate() throws {
    guard (tlsCert == nil) == (tlsKey == nil) else {
      throw ValidationError("--tls-cert and --tls-key need each other")
    }
  }

  func run() async throws {
    LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
    var logger = Logger(label: "confab")
    logger.logLevel = logLevel

    Server.raiseDescriptorLimit()
    let chat = Chat(options: chatLimits.options, engine: try engine.makeEngine(chatLimits.options, logger))
    let server = try chat.makeServer(makeConfiguration(logger))
    let adminServer = try admin.map { try Admin.makeServer(at: $0, about: server, chat, logger) }
    // From here on: they would end the program otherwise.
    let signals = await UnixSignalsSequence(trapping: .sighup, .sigint, .sigterm)
    do {
      try adminServer?.start()
      try server.start()
    } catch {
      await chat.engine.shutdown()
      throw error
    }
    StandardStream.output.write("Confab is listening on \(server.addresses[0].url)\n")
    ServiceManager.tell(.ready)
    let supervision = Task { await Supervision(server: server, signals: signals).run() }
    await server.waitUntilStopped()
    supervision.cancel()
    await chat.engine.shutdown()
    // The operator is answered until the end.
    adminServer?.stop()
    await adminServer?.waitUntilStopped()
  }

  private func makeConfiguration(_ logger: Logger) -> Configuration {
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
    configuration.listeningSockets = ServiceManager.listeningSockets
    return configuration
  }
}
