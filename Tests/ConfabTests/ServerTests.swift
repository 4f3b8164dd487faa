import Confab
import ConfabTestSupport
import Logging
import ServiceLifecycle
import Synchronization
import Testing

@Suite(.serialized) struct ServerTests {
  @Test func stoppingClosesAllClientsAndEndsAllThreads() async throws {
    let clients = Mutex(0)
    var port = 0
    try await withServer({ $0.loops = 2 }) { server, events in
      port = server.port
      let connected = try (0..<6).map { _ in try RawClient(port: port) }
      for _ in connected { #expect(await events.next() == opened) }
      server.stop()
      for client in connected {
        #expect(try client.receive() == .close(1001, "the server is stopping"))
        try client.send(8, [0x03, 0xE9])
        #expect(try client.receive() == nil)
        clients.withLock { $0 += 1 }
      }
      for _ in connected {
        #expect(
          await events.next() == .closed(Close(code: .goingAway, reason: "the server is stopping", isClean: true)))
      }
      await server.waitUntilStopped()
      for loop in server.loops { #expect(!loop.execute {}) }
    }
    #expect(clients.withLock { $0 } == 6)
    #expect(throws: RawClient.Failure.self) { try RawClient(port: port) }
  }

  @Test func stoppingDoesNotWaitForUnresponsiveClients() async throws {
    try await withServer({ $0.stopTimeout = .milliseconds(100) }) { server, events in
      let client = try RawClient(port: server.port)
      #expect(await events.next() == opened)
      server.stop()
      await server.waitUntilStopped()
      guard case .closed? = await events.next() else { throw RawClient.Failure(description: "no close") }
      #expect(try client.receive() == .close(1001, "the server is stopping"))
      #expect(try client.receive() == nil)
    }
  }

  @Test func stoppingAgainOnlyShortensTheTime() async throws {
    try await withServer({ $0.stopTimeout = .seconds(600) }) { server, events in
      let client = try RawClient(port: server.port)
      #expect(await events.next() == opened)
      server.stop()
      #expect(try client.receive() == .close(1001, "the server is stopping"))
      server.stop(within: .milliseconds(50))
      server.stop()
      await server.waitUntilStopped()
    }
  }

  @Test func clientsDroppedByStoppingCloseUncleanly() async throws {
    try await withServer { server, events in
      let client = try RawClient(port: server.port)
      #expect(await events.next() == opened)
      server.stop(within: .milliseconds(50))
      #expect(
        await events.next() == .closed(Close(code: .goingAway, reason: "the server is stopping", isClean: false)))
      #expect(try client.receive() == .close(1001, "the server is stopping"))
      server.stop(within: .seconds(-1))
      server.stop(within: .seconds(Int64.max))
    }
  }

  @Test func drainingNotifiesAndClosesClientsInTurn() async throws {
    try await withServer({ $0.drainTime = .milliseconds(800) }) { server, events in
      let clients = try (0..<4).map { _ in try RawClient(port: server.port) }
      for _ in clients { #expect(await events.next() == opened) }
      server.stop()
      #expect(!server.isReady)
      // The last client still has some time before the end.
      for delay in [0, 150, 300, 450] { #expect(await events.next() == .moving(after: .milliseconds(delay))) }
      for client in clients {
        #expect(try client.receive() == .close(1001, "the server is stopping"))
        try client.send(8, [0x03, 0xE9])
        #expect(
          await events.next() == .closed(Close(code: .goingAway, reason: "the server is stopping", isClean: true)))
      }
      await server.waitUntilStopped()
    }
  }

  @Test func earlierStopEndsDraining() async throws {
    try await withServer({ $0.drainTime = .seconds(600) }) { server, events in
      let client = try RawClient(port: server.port)
      #expect(await events.next() == opened)
      server.stop()
      server.stop()
      #expect(await events.next() == .moving(after: .zero))
      server.stop(within: .seconds(2))
      #expect(try client.receive() == .close(1001, "the server is stopping"))
      try client.send(8, [0x03, 0xE9])
      await server.waitUntilStopped()
    }
  }

  @Test func serverWithoutClientsDrainsAtOnce() async throws {
    try await withServer({ ($0.drainTime, $0.loops) = (.seconds(600), 2) }) { server, _ in
      server.stop()
      await server.waitUntilStopped()
    }
  }

  @Test func serverStartsOnlyOnce() async throws {
    try await withServer { server, _ in
      #expect(throws: ConfabError(.alreadyStarted, "the server has been started before; make a new one")) {
        try server.start()
      }
    }
  }

  @Test func runEndsWhenItsTaskIsCancelled() async throws {
    let server = try Server(Configuration(host: "127.0.0.1", port: 0)) { _ in Silent() }
    let run = Task { try await server.run() }
    _ = try await blocking { try RawClient(port: server.port) }
    run.cancel()
    try await run.value
  }

  @Test func serviceGroupStopsTheServer() async throws {
    let server = try Server(Configuration(host: "127.0.0.1", port: 0)) { _ in Silent() }
    let group = ServiceGroup(services: [server], logger: Logger(label: "test"))
    let run = Task { try await group.run() }
    _ = try await blocking { try RawClient(port: server.port) }
    await group.triggerGracefulShutdown()
    try await run.value
    #expect(!server.isReady)
  }

  @Test func unstartedServerReleasesItsPort() throws {
    let port = try Server(Configuration(host: "127.0.0.1", port: 0)) { _ in Silent() }.port
    _ = try Server(Configuration(host: "127.0.0.1", port: port)) { _ in Silent() }
  }

  @Test func jobsRunOnTheLoopInOrder() async throws {
    try await withServer { server, _ in
      let loop = server.loops[0]
      #expect(!loop.isCurrent)
      let order = Mutex<[Int]>([])
      await withCheckedContinuation { done in
        for number in 0..<100 {
          loop.execute {
            #expect(loop.isCurrent)
            order.withLock { $0.append(number) }
          }
        }
        loop.execute { done.resume() }
      }
      #expect(order.withLock { $0 } == Array(0..<100))
    }
  }

  /// RFC 6455, section 4.2: other requests than a WebSocket handshake get an HTTP status, and the server continues.
  @Test(arguments: [
    (
      "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n\r\n",
      "426"
    ),
    (
      "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n\r\n",
      "400"
    ),
    (
      "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
      "404"
    ),
    (
      "POST / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
      "405"
    ),
    ("GET /nothing/here HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
  ])
  func otherRequestsGetAnHttpStatus(_ request: String, _ status: String) async throws {
    try await withServer { server, events in
      let rejected = try RawClient(port: server.port, request: request)
      #expect(rejected.response.split(separator: " ").dropFirst().first == Substring(status))
      _ = try RawClient(port: server.port)
      #expect(await events.next() == opened)
    }
  }
}
