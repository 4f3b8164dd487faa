import Confab
import ConfabTestSupport
import Logging
import Synchronization
import Testing

@Suite struct AsyncConnectionTests {
  private func makeServer(
    _ change: (inout Configuration) -> Void = { _ in },
    authorize: @escaping @Sendable (borrowing Request) -> Authorization = { _ in .accept() }
  ) throws -> Server {
    var configuration = Configuration(host: "127.0.0.1", port: 0)
    configuration.logger.logLevel = .critical
    configuration.loops = 1
    configuration.stopTimeout = .milliseconds(200)
    change(&configuration)
    return try Server(configuration, authorize: authorize)
  }

  /// Runs a server that handles its connections with `serve`, until `body` returns.
  private func withServer(
    _ change: (inout Configuration) -> Void = { _ in },
    serve: @escaping @Sendable (AsyncConnection) async throws -> Void,
    _ body: (Server) async throws -> Void
  ) async throws {
    let server = try makeServer(change)
    try server.start()
    try await withThrowingDiscardingTaskGroup { group in
      group.addTask { try await server.run() }
      group.addTask {
        try await withThrowingDiscardingTaskGroup { group in
          for try await connection in server.connections { group.addTask { try await serve(connection) } }
        }
      }
      try await body(server)
      server.stop()
    }
  }

  private func echo(_ connection: AsyncConnection) async throws {
    for try await message in connection.messages { try await connection.send(message) }
  }

  @Test(arguments: [1, 2]) func echoesMessages(loops: Int) async throws {
    try await withServer({ $0.loops = loops }) {
      try await echo($0)
    } _: { server in
      try await blocking {
        let clients = try (0..<8).map { try RawClient(port: server.port, path: "/\($0)") }
        for round in 0..<50 { for client in clients { try client.send("round \(round)") } }
        for client in clients {
          for round in 0..<50 { #expect(try client.receive() == .text("round \(round)")) }
          try client.send(2, [1, 2, 3])
          #expect(try client.receive() == .init(opcode: 2, isFinal: true, payload: [1, 2, 3]))
          try client.send(8, [0x03, 0xE8])
          #expect(try client.receive() == .close(1000))
          #expect(try client.receive() == nil)
        }
      }
    }
  }

  @Test func slowConsumerPausesItsClient() async throws {
    let (go, start) = AsyncStream.makeStream(of: Void.self)
    let (totals, end) = AsyncStream.makeStream(of: Int.self)
    try await withServer { connection in
      for await _ in go { break }
      var total = 0
      for try await message in connection.messages { total += message.bytes.count }
      end.yield(total)
    } _: { server in
      let client = try await blocking { try RawClient(port: server.port) }
      // TCP takes no more at some point, far below the limit.
      let block = RawClient.frame(2, [UInt8](repeating: 7, count: 16_000))
      let sent = try await blocking { try client.fill(with: block, upTo: 64 << 20) }
      #expect(sent < 48 << 20)
      start.yield()
      try await blocking {
        try client.finish(block, after: sent)
        try client.send(8, [0x03, 0xE8])
        #expect(try client.receive() == .close(1000))
      }
      var total = totals.makeAsyncIterator()
      #expect(await total.next() == (sent + block.count - 1) / block.count * 16_000)
    }
  }

  @Test func sendWaitsForASlowClient() async throws {
    let (stalled, stall) = AsyncStream.makeStream(of: Void.self)
    let mark = 20_000
    try await withServer({
      $0.sendBufferSize = 8192
      $0.backlogMark = mark
    }) { connection in
      async let sender: Void = {
        let message = OwnedMessage(.binary, [UInt8](repeating: 1, count: 10_000))
        for _ in 0..<1000 {
          try await connection.send(message)
          // Little of the earlier messages is still buffered.
          #expect(try await connection.onLoop { $0.bufferedAmount } < mark + 100_000)
        }
      }()
      while try await connection.onLoop({ $0.bufferedAmount }) <= mark {}
      stall.yield()
      try await sender
      connection.close()
    } _: { server in
      let client = try await blocking { try RawClient(port: server.port, receiveBuffer: 4096) }
      for await _ in stalled { break }
      let total = try await blocking {
        var total = 0
        while let frame = try client.receive(), frame.opcode == 2 { total += frame.payload.count }
        return total
      }
      #expect(total == 10_000_000)
    }
  }

  @Test func messagesEndWithTheCloseCode() async throws {
    let ends = AsyncStream.makeStream(of: String.self)
    try await withServer { connection in
      ends.continuation.yield("taken")
      do {
        for try await _ in connection.messages {}
        ends.continuation.yield("ended with \(connection.close?.code.rawValue ?? 0)")
        do { try await connection.send("too late") } catch { ends.continuation.yield("\(error)") }
      } catch { ends.continuation.yield("\(error)") }
    } _: { server in
      var told = ends.stream.makeAsyncIterator()
      let client = try await blocking { try RawClient(port: server.port) }
      // A connection that is closed before a task takes it is not delivered.
      #expect(await told.next() == "taken")
      try client.send(8, [0x0F, 0xA0])
      #expect(await told.next() == "ended with 4000")
      #expect(await told.next() == "the connection was closed with 4000: nothing can be sent any more")
      let other = try await blocking { try RawClient(port: server.port) }
      #expect(await told.next() == "taken")
      other.hangUp(reset: true)
      #expect(await told.next() == "the connection was closed with 1006: nothing can be sent any more")
    }
  }

  @Test func unreferencedConnectionIsClosed() async throws {
    try await withServer { connection in
      for try await message in connection.messages where message.text == "go" { return }
    } _: { server in
      try await blocking {
        let client = try RawClient(port: server.port)
        try client.send("stay")
        try client.send("go")
        #expect(try client.receive() == .close(1000))
      }
    }
  }

  @Test func cancellingATaskLeavesTheConnectionOpen() async throws {
    let (cancelled, continuation) = AsyncStream.makeStream(of: Void.self)
    try await withServer { connection in
      let reader = Task { for try await _ in connection.messages {} }
      reader.cancel()
      await #expect(throws: CancellationError.self) { try await reader.value }
      continuation.yield()
      try await echo(connection)
    } _: { server in
      let client = try await blocking { try RawClient(port: server.port) }
      for await _ in cancelled { break }
      try await blocking {
        try client.send("still here")
        #expect(try client.receive() == .text("still here"))
        try client.send(8, [0x03, 0xE8])
        #expect(try client.receive() == .close(1000))
      }
    }
  }

  enum Obstacle: CaseIterable { case cancellation, vanishing, reset, stop }

  @Test(arguments: Obstacle.allCases) func pendingSendFailsWhenTheConnectionCloses(obstacle: Obstacle) async throws {
    let (stalled, stall) = AsyncStream.makeStream(of: Task<any Error, Never>.self)
    try await withServer({
      $0.sendBufferSize = 8192
      $0.backlogMark = 20_000
    }) { connection in
      let sender = Task { () -> any Error in
        let message = OwnedMessage(.binary, [UInt8](repeating: 1, count: 10_000))
        do {
          while true { try await connection.send(message) }
        } catch { return error }
      }
      while try await connection.onLoop({ $0.bufferedAmount }) <= 20_000 {}
      stall.yield(sender)
      _ = await sender.value
      if obstacle == .cancellation {
        #expect(connection.close == nil)
        connection.close()
      }
    } _: { server in
      let client = try await blocking { try RawClient(port: server.port, receiveBuffer: 4096) }
      var senders = stalled.makeAsyncIterator()
      let sender = try #require(await senders.next())
      switch obstacle {
      case .cancellation: sender.cancel()
      case .vanishing: client.hangUp()
      case .reset: client.hangUp(reset: true)
      case .stop: server.stop()
      }
      let error = await sender.value
      if obstacle == .cancellation {
        #expect(error is CancellationError)
        // Messages that were already sent are still written.
        try await blocking { while let frame = try client.receive(), frame.opcode == 2 {} }
      } else {
        #expect((error as? ConfabError)?.code == .connectionClosed)
      }
    }
  }

  @Test func cancelledWaitForConnectionsLeavesThemForTheNext() async throws {
    try await serving { server in
      let first = Task { try await server.connections.first { _ in true } }
      first.cancel()
      await #expect(throws: CancellationError.self) { try await first.value }
      let second = Task { try await server.connections.first { _ in true } }
      let client = try await blocking { try RawClient(port: server.port, path: "/second") }
      let connection = try #require(try await second.value)
      #expect(connection.request.path == "/second")
      connection.close()
      #expect(try await blocking { try client.receive() } == .close(1000))
    }
  }

  private func serving(_ body: (Server) async throws -> Void) async throws {
    let server = try makeServer()
    try server.start()
    try await body(server)
    server.stop()
    await server.waitUntilStopped()
  }

  @Test func contextRequestAndLoop() async throws {
    final class User: Sendable { let name = "Ann" }
    let server = try makeServer({ $0.subprotocols = ["chat"] }) { request in
      request.path == "/private" ? .reject(Response(status: 401, "no\n")) : .accept(context: User())
    }
    try server.start()
    let client = try RawClient(
      port: server.port, path: "/a?b&c=d=e&c=f", headers: ["Sec-WebSocket-Protocol: chat", "Origin: null"])
    let rejected = try RawClient(
      port: server.port,
      request: "GET /private HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
        + "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    #expect(rejected.response.hasPrefix("HTTP/1.1 401 "))
    var connections = server.connections.makeAsyncIterator()
    let connection = try #require(try await connections.next())
    #expect((connection.context as? User)?.name == "Ann")
    #expect(connection.request.path == "/a")
    #expect(connection.request.query == ["b", "c=d=e", "c=f"])
    let values = ["b", "c", "d", "", "c=d"].map { connection.request[query: $0] }
    #expect(values == ["", "d=e", nil, nil, nil])
    #expect(connection.request.subprotocol == "chat")
    #expect(connection.request[header: "Origin"] == "null")
    #expect(connection.request.remoteHost == "127.0.0.1")
    let log = BroadcastLog()
    let isOnLoop = try await connection.onLoop { connection in
      connection.join(log)
      return connection.loop.isCurrent
    }
    #expect(isOnLoop)
    log.append(OwnedMessage("to all").message)
    #expect(try client.receive() == .text("to all"))
    server.stop()
    await server.waitUntilStopped()
    #expect(try await connections.next() == nil)
    await #expect(throws: ConfabError.self) { try await connection.onLoop { _ in } }
  }

  @Test func unacceptedConnectionIsNotReadAndEndsWithTheServer() async throws {
    let server = try makeServer()
    try server.start()
    let waiting = Task { try await server.connections.first { _ in false } }
    let clients = try (0..<3).map { _ in try RawClient(port: server.port) }
    for client in clients { try client.send("hello") }
    server.stop()
    await server.waitUntilStopped()
    _ = try await waiting.value
    for client in clients { #expect(try client.receive()?.opcode == 8) }
    #expect(server.statistics.connections == 0)
  }
}

extension RawClient {
  /// Sends `block` repeatedly until the server stops reading or `limit` bytes are sent. Returns the number of bytes.
  fileprivate func fill(with block: [UInt8], upTo limit: Int) throws -> Int {
    var sent = 0
    while sent < limit {
      let count = writeSome(block[(sent % block.count)...])
      if count == 0 { return sent }
      sent += count
    }
    return sent
  }

  /// Sends the rest of an incomplete block.
  fileprivate func finish(_ block: [UInt8], after sent: Int) throws {
    if sent % block.count > 0 { try write(Array(block[(sent % block.count)...])) }
  }
}
