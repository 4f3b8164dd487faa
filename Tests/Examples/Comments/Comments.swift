// The examples in the sources' doc comments, so that they are compiled.

import Confab
import ConfabChat
import ConfabMetrics
import ConfabNats
import ConfabSQLite
import Logging
import ServiceLifecycle

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

final class Echo: Handler {
  func received(_ message: Message, from connection: Connection) { connection.send(message) }
}

func serveAnEcho() async throws {
  let server = try Server(Configuration(port: 8080)) { loop in Echo() }
  try await server.run()
}

actor Counter {
  let loop: EventLoop
  init(on loop: EventLoop) { self.loop = loop }
  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
}

func serveInSteps(_ server: Server) throws {
  try server.start()
  var descriptor = pollfd(fd: server.pollDescriptor, events: Int16(POLLIN), revents: 0)
  repeat { poll(&descriptor, 1, server.pollTimeout) } while server.step()
}

func serveByTasks() async throws {
  let server = try Server(Configuration(port: 8080))
  try await withThrowingDiscardingTaskGroup { group in
    group.addTask { try await server.run() }
    for try await connection in server.connections {
      group.addTask {
        for try await message in connection.messages { try await connection.send(message) }
      }
    }
  }
}

func echo(_ connection: AsyncConnection) async throws {
  for try await message in connection.messages {
    try await connection.send(message)
  }
}

func serveTheChat() async throws {
  let chat = Chat()
  let server = try chat.makeServer(Configuration(mounts: [.chatPage]))
  try await server.run()
}

func readOn(_ chat: Chat, after position: StreamPosition) async throws -> StreamPosition {
  var stored = position
  for try await message in chat.publications(in: "/tea", after: stored) {
    print(message.name ?? "plain client", message.text ?? "")
    stored = message.position
  }
  return stored
}

func watch(_ chat: Chat) async throws {
  for try await change in chat.memberChanges(in: "/tea") {
    if case .joined(let member) = change { print(member.name, "has joined") }
  }
}

func tellMetrics(of server: Server, _ logger: Logger) async throws {
  let metrics = ServerMetrics(of: server, every: .seconds(10))
  try await ServiceGroup(services: [metrics, server], gracefulShutdownSignals: [.sigterm], logger: logger).run()
}

func serveOnNats() throws -> Server {
  let engine = try JetStreamEngine(JetStreamOptions(urls: ["nats://localhost:4222"]))
  let server = try Chat(engine: engine).makeServer(Configuration(mounts: [.chatPage]))
  return server
}

func keepInAFile(_ options: ChatOptions) throws -> Chat {
  let history = try SQLiteEngine(file: "chat.db", options: options)
  let chat = Chat(options: options, engine: history)
  return chat
}
