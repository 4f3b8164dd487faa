import Confab
import Logging
import Testing

/// A call that a handler has received.
enum Event: Equatable, Sendable {
  case opened(path: String, query: [String], subprotocol: String?)
  case text(String)
  case binary([UInt8])
  case drained
  case moving(after: Duration)
  case closed(Close)
}

/// Records the calls to a server's handlers, in order, and runs the test's closures in them.
final class Recorder: Handler, Sendable {
  private let events: AsyncStream<Event>.Continuation
  private let onOpen: @Sendable (Connection) -> Void
  private let onMessage: @Sendable (String, Connection) -> Void

  init(
    _ events: AsyncStream<Event>.Continuation, onOpen: @escaping @Sendable (Connection) -> Void,
    onMessage: @escaping @Sendable (String, Connection) -> Void
  ) {
    self.events = events
    self.onOpen = onOpen
    self.onMessage = onMessage
  }

  func opened(_ connection: Connection, request: Request) {
    events.yield(.opened(path: request.path, query: request.query, subprotocol: request.subprotocol))
    onOpen(connection)
  }

  func received(_ message: Message, from connection: Connection) {
    events.yield(message.kind == .text ? .text(String(message)) : .binary(Array(message)))
    onMessage(String(message), connection)
  }

  func drained(_ connection: Connection) { events.yield(.drained) }

  func moving(_ connection: Connection, after delay: Duration) { events.yield(.moving(after: delay)) }

  func closed(_ connection: Connection, _ close: Close) { events.yield(.closed(close)) }
}

/// Runs a server on a free port and passes its events to `body`. The server is stopped at the end; later events fail
/// the test.
func withServer(
  _ change: (inout Configuration) -> Void = { _ in },
  onOpen: @escaping @Sendable (Connection) -> Void = { _ in },
  onMessage: @escaping @Sendable (String, Connection) -> Void = { _, _ in },
  _ body: (Server, inout AsyncStream<Event>.AsyncIterator) async throws -> Void
) async throws {
  var logger = Logger(label: "test")
  logger.logLevel = .critical
  var configuration = Configuration(host: "127.0.0.1", port: 0, logger: logger)
  // On a busy machine a client must not look idle.
  (configuration.pingInterval, configuration.idleTimeout) = (.zero, .zero)
  configuration.stopTimeout = .seconds(2)
  configuration.loops = 1
  change(&configuration)
  let (stream, continuation) = AsyncStream.makeStream(of: Event.self)
  let server = try Server(configuration) { _ in Recorder(continuation, onOpen: onOpen, onMessage: onMessage) }
  try server.start()
  var events = stream.makeAsyncIterator()
  do { try await body(server, &events) } catch {
    server.stop()
    await server.waitUntilStopped()
    throw error
  }
  server.stop()
  await server.waitUntilStopped()
  continuation.finish()
}

let opened = Event.opened(path: "/", query: [], subprotocol: nil)
