import Confab
import ConfabChat
import ConfabTestSupport
import Dispatch
import Foundation
import Logging

/// Starts and stops servers with live connections, for a memory checker: `lifecycle-check [ROUNDS]`.
@main
struct LifecycleCheck {
  /// Not async: that would end the process's first thread before the others, which valgrind does not survive.
  static func main() {
    let done = DispatchSemaphore(value: 0)
    Task.detached {
      do { try await run() } catch { fatalError("\(error)") }
      done.signal()
    }
    done.wait()
  }

  private static func openDescriptors() -> Int {
    (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
  }

  private static func run() async throws {
    let rounds = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 100
    var descriptors: Int?
    for round in 0..<rounds {
      // Servers that never run must not leak either.
      _ = try? Server(Configuration(port: 0, mounts: [Mount(directory: "/no/such/folder")])) { _ in Silent() }
      let unused = try Server(Configuration(port: 0)) { _ in Silent() }
      unused.stop()
      unused.loops[0].execute { fatalError("a job of a loop that never ran") }

      var configuration = Configuration(host: "127.0.0.1", port: 0, mounts: [.chatPage])
      configuration.loops = 1 + round % 2
      configuration.stopTimeout = .milliseconds(round % 3 == 0 ? 0 : 200)
      configuration.sendBufferSize = 16_384
      let chat = Chat()
      let server = try chat.makeServer(configuration)
      try server.start()
      let clients = try (0..<8).map { try RawClient(port: server.port, path: "/room/\($0 % 3)", receiveBuffer: 8192) }
      for (number, client) in clients.enumerated() {
        try client.send("round \(round)")
        // More than the socket takes, so some clients lag when the server stops.
        if number % 2 == 0 { try client.send(2, [UInt8](repeating: 1, count: 100_000)) }
        // An incomplete message.
        if number % 3 == 0 { try client.send(1, [0x61], isFinal: false) }
      }
      // The joins are still pending when the server stops.
      let people = try ["Ann", "Bob", "Ann"].map { name in
        let client = try RawClient(
          port: server.port, path: "/room/0", headers: ["Sec-WebSocket-Protocol: \(Chat.subprotocol)"])
        try client.send(#"{"type":"hello","name":"\#(name)"}"#)
        try client.send(#"{"type":"say","tag":"\#(name)","text":"hello"}"#)
        return client
      }
      let visitor = try RawClient(port: server.port, request: "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
      guard visitor.response.hasPrefix("HTTP/1.1 200 ") else { throw RawClient.Failure(description: visitor.response) }
      clients[0].hangUp(reset: true)
      people[0].hangUp(reset: true)
      server.stop()
      await server.waitUntilStopped()
      guard chat.occupancy.isEmpty else {
        throw RawClient.Failure(description: "rooms are left after round \(round): \(chat.occupancy)")
      }
      try await runTasks()
      descriptors = descriptors ?? openDescriptors()
    }
    guard let descriptors, openDescriptors() <= descriptors + 8 else {
      throw RawClient.Failure(
        description: "descriptors: \(openDescriptors()) now, \(descriptors ?? 0) after the first round")
    }
    print("\(rounds) rounds")
  }

  /// Stops a server for tasks while clients wait for authorization, for a task, and for messages.
  private static func runTasks() async throws {
    var configuration = Configuration(host: "127.0.0.1", port: 0)
    configuration.loops = 1
    configuration.stopTimeout = .milliseconds(100)
    configuration.logger.logLevel = .error
    let (cancelled, continuation) = AsyncStream.makeStream(of: Never.self)
    let server = try Server(configuration) { request in
      guard request.path == "/wait" else { return .accept() }
      return .ask {
        try? await Task.sleep(for: .seconds(3600))
        continuation.finish()
        return .accept()
      }
    }
    try server.start()
    let clients = try ["/wait", "/", "/"].map { path in
      let request = ["GET \(path) HTTP/1.1"] + RawClient.handshake + ["", ""]
      return try RawClient(port: server.port, request: request.joined(separator: "\r\n"), awaitsHead: false)
    }
    var connections = server.connections.makeAsyncIterator()
    let taken = try await connections.next()
    async let message = taken?.messages.first { _ in true }
    for client in clients.dropFirst() { try client.send("hello") }
    _ = try? await message
    server.stop()
    await server.waitUntilStopped()
    while try await connections.next() != nil {}
    for await _ in cancelled {}
  }
}

private final class Silent: Handler {
  func received(_ message: Message, from connection: Connection) {}
}
