import ConfabTestSupport
import Synchronization
import Testing

@testable import Confab

/// Tests the events and calls of the thin layer, over real sockets.
@Suite(.serialized) struct ConnectionTests {
  @Test func eventsAreOrderedAndCloseIsDeliveredOnce() async throws {
    try await withServer { server, events in
      let client = try RawClient(port: server.port, path: "/a%20room?x=1&&y=a%26b")
      #expect(await events.next() == .opened(path: "/a room", query: ["x=1", "y=a&b"], subprotocol: nil))
      try client.send("群聊")
      try client.send(2, [1], isFinal: false)
      try client.send(9, Array("ping".utf8))
      try client.send(0, [], isFinal: false)
      try client.send(0, [2, 3])
      try client.send(1, [])
      #expect(await events.next() == .text("群聊"))
      #expect(await events.next() == .binary([1, 2, 3]))
      #expect(await events.next() == .text(""))
      #expect(try client.receive() == .init(opcode: 10, isFinal: true, payload: Array("ping".utf8)))
      try client.send(8, [0x0F, 0xA0] + Array("bye".utf8))
      #expect(try client.receive() == .close(4000, "bye"))
      #expect(await events.next() == .closed(Close(code: CloseCode(rawValue: 4000), reason: "bye", isClean: true)))
      #expect(try client.receive() == nil)
    }
  }

  @Test func requestHasTheClientsAddress() async throws {
    final class Asker: Handler {
      let answer: AsyncStream<[String?]>.Continuation
      init(_ answer: AsyncStream<[String?]>.Continuation) { self.answer = answer }
      func opened(_ connection: Connection, request: Request) {
        answer.yield([
          request.origin, request[header: "USER-agent"], request[header: "X-Own"], request[header: "X-Absent"],
          request[header: "Cookie"], request.remoteHost, "\(request.remotePort)", request.subprotocol,
        ])
      }
      func received(_ message: Message, from connection: Connection) {}
    }
    let (stream, answer) = AsyncStream.makeStream(of: [String?].self)
    var configuration = Configuration(host: "127.0.0.1", port: 0)
    configuration.stopTimeout = .zero
    configuration.subprotocols = ["one", "two"]
    configuration.allowedOrigins = ["https://example.org"]
    let server = try Server(configuration) { _ in Asker(answer) }
    try server.start()
    let client = try RawClient(
      port: server.port,
      headers: [
        "Origin: https://example.org", "User-Agent: raw", "X-Own: mine", "Sec-WebSocket-Protocol: two, one",
      ])
    var answers = stream.makeAsyncIterator()
    let values = try #require(await answers.next())
    #expect(values == ["https://example.org", "raw", "mine", nil, nil, "127.0.0.1", values[6], "two"])
    #expect(Int(values[6] ?? "") ?? 0 > 1023)
    #expect(client.response.contains("\r\nSec-WebSocket-Protocol: two\r\n"))
    server.stop()
    await server.waitUntilStopped()
  }

  @Test func vanishedClientIsClosedAbnormally() async throws {
    try await withServer { server, events in
      for reset in [true, false] {
        let client = try RawClient(port: server.port)
        #expect(await events.next() == opened)
        client.hangUp(reset: reset)
        #expect(await events.next() == .closed(Close(code: .abnormal, reason: "", isClean: false)))
      }
    }
  }

  @Test func closeFollowsSentMessagesWithCodeAndReason() async throws {
    let states = Mutex<[Connection.ReadyState]>([])
    let kept = Mutex<Connection?>(nil)
    try await withServer(onMessage: { _, connection in
      kept.withLock { $0 = connection }
      let before = connection.readyState
      connection.send("last words")
      connection.close(.policyViolation, reason: "enough")
      let result = connection.send("too late")
      states.withLock { $0 = [before, connection.readyState] }
      #expect(result == .dropped)
    }) { server, events in
      let client = try RawClient(port: server.port)
      #expect(await events.next() == opened)
      try client.send("go")
      #expect(await events.next() == .text("go"))
      #expect(try client.receive() == .text("last words"))
      #expect(try client.receive() == .close(1008, "enough"))
      try client.send("not heard any more")
      try client.send(8, [0x03, 0xF0])
      #expect(await events.next() == .closed(Close(code: .policyViolation, reason: "enough", isClean: true)))
      let connection = try #require(kept.withLock { $0 })
      await withCheckedContinuation { done in
        connection.loop.execute {
          states.withLock { $0.append(connection.readyState) }
          #expect(connection.send("into the void") == .dropped)
          #expect(connection.bufferedAmount == 0)
          done.resume()
        }
      }
    }
    #expect(states.withLock { $0 } == [.open, .closing, .closed])
  }

  @Test func peerWithoutClosingHandshakeIsDropped() async throws {
    try await withServer({ $0.closeTimeout = .milliseconds(200) }, onMessage: { _, connection in connection.close() }) {
      server, events in
      let client = try RawClient(port: server.port)
      try client.send("close me")
      #expect(try client.receive() == .close(1000))
      #expect(await events.next() == opened)
      #expect(await events.next() == .text("close me"))
      guard case .closed(let close)? = await events.next() else { throw RawClient.Failure(description: "no close") }
      #expect(close.code == .normal)
    }
  }

  /// Invalid messages and the close codes they cause.
  @Test(
    arguments: [
      ([RawClient.frame(2, Array(repeating: 0, count: 1001))], 1009),
      (
        [
          RawClient.frame(2, Array(repeating: 0, count: 600), isFinal: false),
          RawClient.frame(0, Array(repeating: 0, count: 600)),
        ], 1009
      ),
      (
        // 256 MiB less one byte. libwebsockets 5 drops connections with longer frames itself.
        [[0x82, 0xFF, 0, 0, 0, 0, 0x0F, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4] + Array(repeating: 0, count: 2000)],
        1009
      ),
      ([RawClient.frame(1, [0xFF])], 1007),
      ([RawClient.frame(1, [0xE7, 0xBE]), RawClient.frame(1, [0x41])], 1007),
      ([RawClient.frame(1, [0xE7], isFinal: false), RawClient.frame(0, [0x41])], 1007),
      (Array(repeating: RawClient.frame(0, [], isFinal: false), count: 6), 1002),
      (
        [RawClient.frame(1, [], isFinal: false)] + Array(repeating: RawClient.frame(0, [], isFinal: false), count: 6),
        1008
      ),
      ([RawClient.frame(3, [])], 1002),
      ([RawClient.frame(8, [0x03])], 1002),
      ([RawClient.frame(8, [0xFF, 0xFF])], 1002),
      ([RawClient.frame(8, [0x03, 0xE8, 0xFF])], 1007),
    ] as [([[UInt8]], Int)])
  func protocolViolationsCloseWithTheirCode(_ frames: [[UInt8]], _ code: Int) async throws {
    try await withServer({
      $0.maxMessageSize = 1000
      $0.maxFragments = 5
    }) { server, events in
      let client = try RawClient(port: server.port)
      try client.write(Array(frames.joined()))
      let answer = try client.receive()
      #expect(answer?.opcode == 8)
      #expect(answer?.payload.prefix(2) == [UInt8(code >> 8), UInt8(code & 255)])
      #expect(await events.next() == opened)
      guard case .closed(let close)? = await events.next() else { throw RawClient.Failure(description: "no close") }
      #expect(close.code.rawValue == UInt16(code))
    }
  }

  @Test func sendReportsBacklogAndDrainedFollows() async throws {
    let results = Mutex<[Connection.SendResult]>([])
    try await withServer(
      {
        $0.backlogMark = 100_000
        $0.maxBacklog = 10_000_000
        $0.sendBufferSize = 16_384
      },
      onMessage: { _, connection in
        let piece = [UInt8](repeating: 7, count: 60_000)
        for _ in 0..<5 {
          let result = connection.send(Message(.binary, piece.span))
          results.withLock { $0.append(result) }
        }
        #expect(connection.bufferedAmount >= 300_000)
      }
    ) { server, events in
      let client = try RawClient(port: server.port, receiveBuffer: 8192)
      try client.send("flood me")
      #expect(await events.next() == opened)
      #expect(await events.next() == .text("flood me"))
      for _ in 0..<5 { #expect(try client.receiveMessage().count == 60_000) }
      #expect(await events.next() == .drained)
    }
    #expect(results.withLock { $0 } == [.queued, .backlogged, .backlogged, .backlogged, .backlogged])
  }

  @Test func messagesSentInDrainedArriveBeforeAClose() async throws {
    final class Streamer: Handler {
      private var rounds = 0
      func opened(_ connection: Connection, request: Request) { send(to: connection) }
      func received(_ message: Message, from connection: Connection) {}
      func drained(_ connection: Connection) {
        rounds += 1
        send(to: connection)
        if rounds == 3 { connection.close(.normal, reason: "done") }
      }
      private func send(to connection: Connection) {
        connection.send(Message(.binary, [UInt8](repeating: 1, count: 3_000_000).span))
      }
    }
    var configuration = Configuration(host: "127.0.0.1", port: 0)
    configuration.maxBacklog = 64 << 20
    // The test reads slowly before the close frame.
    configuration.closeTimeout = .seconds(60)
    configuration.stopTimeout = .zero
    let server = try Server(configuration) { _ in Streamer() }
    try server.start()
    let client = try RawClient(port: server.port)
    for _ in 0..<4 { #expect(try client.receiveMessage().count == 3_000_000) }
    #expect(try client.receive() == .close(1000, "done"))
    server.stop()
    await server.waitUntilStopped()
  }

  @Test func sendingBeyondTheLimitClosesWith1013() async throws {
    try await withServer(
      {
        $0.maxBacklog = 100_000
        $0.sendBufferSize = 16_384
      },
      onMessage: { _, connection in
        let piece = [UInt8](repeating: 7, count: 40_000)
        #expect(connection.send(Message(.binary, piece.span)) == .queued)
        #expect(connection.send(Message(.binary, piece.span)) == .backlogged)
        #expect(connection.send(Message(.binary, piece.span)) == .dropped)
        #expect(connection.readyState == .closing)
      }
    ) { server, events in
      let client = try RawClient(port: server.port, receiveBuffer: 8192)
      try client.send("flood me")
      #expect(try client.receive() == .close(1013, "more than 100000 bytes unread"))
    }
  }

  @Test func handlerPausesAndResumesReading() async throws {
    try await withServer(
      onOpen: { $0.pauseReading() },
      onMessage: { text, connection in
        if text == "stop" { connection.pauseReading() }
      }
    ) { server, events in
      let client = try RawClient(port: server.port)
      #expect(await events.next() == opened)
      // Several messages in one segment: none is delivered while reading is paused.
      try client.write(["one", "stop", "two"].flatMap { RawClient.frame(1, Array($0.utf8)) })
      let loop = server.loops[0]
      let connection = try #require(await loop.theConnection())
      loop.execute { connection.send("not read") }
      #expect(try client.receive() == .text("not read"))
      loop.execute { connection.resumeReading() }
      #expect(await events.next() == .text("one"))
      #expect(await events.next() == .text("stop"))
      loop.execute { connection.send("not read again") }
      #expect(try client.receive() == .text("not read again"))
      loop.execute { connection.resumeReading() }
      #expect(await events.next() == .text("two"))
      // A closing connection reads again, because it waits for the peer's close frame.
      loop.execute {
        connection.pauseReading()
        connection.close(.goingAway)
      }
      #expect(try client.receive() == .close(1001))
      try client.send(8, [0x03, 0xE9])
      #expect(await events.next() == .closed(Close(code: .goingAway, reason: "", isClean: true)))
    }
  }
}

extension ConnectionTests {
  /// A socket that is not read is not polled, and its end would not be noticed.
  @Test(.timeLimit(.minutes(1))) func heldConnectionThatIsDroppedEnds() async throws {
    try await withServer(onOpen: { $0.pauseReading() }) { server, events in
      let client = try RawClient(port: server.port)
      #expect(await events.next() == opened)
      let loop = server.loops[0]
      let connection = try #require(await loop.theConnection())
      loop.execute { connection.drop() }
      #expect(await events.next() == .closed(Close(code: .abnormal, reason: "", isClean: false)))
      client.hangUp()
    }
  }
}

extension EventLoop {
  /// The loop's only connection.
  fileprivate func theConnection() async -> Connection? {
    await withCheckedContinuation { done in execute { done.resume(returning: self.connections.all.first) } }
  }
}
