import ArgumentParser
import Confab
import ConfabChat
import Logging
import ServiceLifecycle
import UnixSignals

struct Serve: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Serve the chat and its page. This is what 'confab' alone does.",
    discussion: """
      Browsers open http://localhost:8080/. Any WebSocket client can take part, at ws://localhost:8080/: what one sends \
      comes back to it and goes to everyone else in the room. The path of the address is the room.

      SIGINT and SIGTERM stop it: everyone is told (close code 1001), and it ends within --stop-timeout.

      Sizes are in bytes, or with a unit: 64KiB, 1MiB.

      Every option can also be set in the environment, --max-message-size as CONFAB_MAX_MESSAGE_SIZE, and in the file \
      that --config names. The command line goes before the environment, and that before the file. 'confab check' tells \
      what is wrong, or what is set and where.
      """
  )

  @OptionGroup var options: ServeOptions

  func run() async throws {
    let settings = Settings.ofProcess
    if let problem = settings.problems.first {
      let others = settings.problems.count - 1
      throw Failure(others == 0 ? problem : "\(problem) (and \(others) more: 'confab check' tells all)")
    }
    let options = settings.options
    LoggingSystem.bootstrap { LineLogHandler(label: $0, format: options.logFormat) }
    var logger = Logger(label: "confab")
    logger.logLevel = options.logLevel

    Server.raiseDescriptorLimit()
    let chat = Chat(options: options.chatOptions)
    let server = try chat.makeServer(options.makeConfiguration(logger))
    let adminServer = try options.admin.map { try Admin.makeServer(at: $0, about: server, chat, logger) }
    // From here on: SIGHUP would end the program otherwise.
    let hangups = await UnixSignalsSequence(trapping: .sighup)
    try adminServer?.start()
    // In the order in which they are shut down, the last one first: the operator is answered until the end.
    let services: [any Service] =
      [adminServer].compactMap { $0 } + [Announced(server: server), Reloading(server: server, signals: hangups)]
    try await ServiceGroup(services: services, gracefulShutdownSignals: [.sigint, .sigterm], logger: logger).run()
  }

  /// The server, and the line that says it is ready: from then on signals are handled and clients are served.
  private struct Announced: Service {
    let server: Server

    func run() async throws {
      try server.start()
      StandardStream.output.write("Confab is listening on \(server.addresses[0].url)\n")
      try await server.run()
    }
  }

  /// Reads the certificate again on SIGHUP.
  private struct Reloading: Service {
    let server: Server
    let signals: UnixSignalsSequence

    func run() async throws {
      for await _ in signals.cancelOnGracefulShutdown()
      where server.configuration.tls != nil {
        do {
          try server.reloadCertificate()
          server.configuration.logger.notice("the certificate has been read again")
        } catch {
          server.configuration.logger.error("the certificate stays what it was: \(error)")
        }
      }
    }
  }
}
