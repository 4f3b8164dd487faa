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

    let chat = Chat(options: options.chatOptions, engine: try options.makeEngine(logger))
    var configuration = options.makeConfiguration(logger)
    configuration.listeningSockets = ServiceManager.listeningSockets
    Server.setDescriptorLimit(connections: configuration.maxConnections)
    let server = try chat.makeServer(configuration)
    let adminServer = try options.admin.map { try Admin.makeServer(at: $0, about: server, chat, logger) }
    // From here on: they would end the program otherwise.
    let signals = await UnixSignalsSequence(trapping: .sighup, .sigint, .sigterm)
    do {
      try adminServer?.start()
      try server.start()
    } catch {
      await chat.engine.shutdown()
      throw error
    }
    if configuration.allowedHosts.isEmpty && !server.addresses.allSatisfy(\.isLoopback) {
      logger.warning(
        "any host name is served: a web page whose name leads to this server by DNS rebinding may connect; --allow-host ends that"
      )
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
}
