import ArgumentParser
import Confab
import ConfabChat
import Logging
import UnixSignals

struct Serve: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Serve the chat and its page. This is the default command.",
    discussion: """
      Browsers open the chat page at http://localhost:8080/. Any WebSocket client can connect to ws://localhost:8080/. \
      The path of the URL is the room: ws://localhost:8080/tea. A message goes to all clients in the room, including \
      the sender. Clients that request the subprotocol chat.confab.v1, like the chat page, use the rich protocol, which \
      has names, presence and history.

      SIGINT and SIGTERM stop the server: it closes all connections with 1001 (going away), spread over the time of \
      --drain, and exits within --stop-timeout after that. A second signal stops it at once. The server notifies systemd of its \
      state (Type=notify). If systemd passes listening sockets, the server uses them instead of --host and --port.

      Sizes are in bytes or have a unit: 64KiB, 1MiB.

      Every option can also be set in the environment, for example --max-message-size as CONFAB_MAX_MESSAGE_SIZE, and \
      in the file that --config names. The command line takes precedence over the environment, and the environment over the \
      file. 'confab check' prints the errors in the settings or, if there are none, all settings and their sources.
      """
  )

  @OptionGroup var options: ServeOptions

  func run() async throws {
    let settings = Settings.ofProcess
    if let problem = settings.problems.first {
      let others = settings.problems.count - 1
      throw Failure(others == 0 ? problem : "\(problem) (and \(others) more: 'confab check' lists all)")
    }
    let options = settings.options
    LoggingSystem.bootstrap { LineLogHandler(label: $0, format: options.logFormat) }
    var logger = Logger(label: "confab")
    logger.logLevel = options.logLevel

    let keys = try options.auth.makeKeys()
    let chat = Chat(
      options: options.chatOptions, engine: try options.makeEngine(logger), admit: options.auth.makeAdmission(keys))
    var configuration = options.makeConfiguration(logger)
    configuration.listeningSockets = ServiceManager.listeningSockets
    Server.setDescriptorLimit(connections: configuration.maxConnections)
    let server = try chat.makeServer(configuration)
    let adminServer = try options.admin.map { try Admin.makeServer(at: $0, about: server, chat, logger) }
    // Trapped from here on, because these signals end the program by default.
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
        "any host name is allowed, so a page of another site may connect by DNS rebinding; --allow-host prevents that"
      )
    }
    StandardStream.output.write("Confab is listening on \(server.addresses[0].url)\n")
    ServiceManager.tell(.ready)
    let supervision = Task { await Supervision(server: server, keys: keys, signals: signals).run() }
    await server.waitUntilStopped()
    supervision.cancel()
    await chat.engine.shutdown()
    // The admin listener stops last.
    adminServer?.stop()
    await adminServer?.waitUntilStopped()
  }
}
