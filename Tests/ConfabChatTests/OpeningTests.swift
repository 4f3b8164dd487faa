import Confab
import ConfabTestSupport
import Synchronization
import Testing

@testable import ConfabChat

/// Checks that clients are connected only once their room is open.
@Suite(.timeLimit(.minutes(1))) struct OpeningTests {
  /// An engine that opens rooms on request and publishes at once.
  private final class HeldEngine: Engine {
    let isShared = true
    let isAvailable = false
    let names: AsyncStream<String>
    private let opening: AsyncStream<String>.Continuation
    private let delegates = Mutex<[any RoomDelegate]>([])

    init() { (names, opening) = AsyncStream.makeStream() }

    private final class TestRoom: EngineRoom {
      private let last = Atomic(0)

      func publish(_ draft: () -> Draft, _ quota: PublisherQuota?) -> Position? {
        Position(offset: last.add(1, ordering: .relaxed).newValue, time: 0)
      }
      func close() {}
    }

    func open(_ room: String, _ delegate: any RoomDelegate) -> any EngineRoom {
      delegates.withLock { $0.append(delegate) }
      opening.yield(room)
      return TestRoom()
    }

    func openAll() { for delegate in delegates.withLock({ $0 }) { delegate.opened(.empty) } }

    func shutdown() async {}
  }

  private func withServer(
    handshakeTimeout: Duration = .seconds(10), porter: Bool = false,
    _ body: (Server, Chat, HeldEngine) async throws -> Void
  ) async throws {
    let engine = HeldEngine()
    let chat = Chat(engine: engine)
    var configuration = Configuration(port: 0)
    configuration.handshakeTimeout = handshakeTimeout
    let server = try chat.makeServer(configuration) { porter ? Porter(chat.handler(on: $0)) : chat.handler(on: $0) }
    try server.start()
    try await body(server, chat, engine)
    server.stop()
    await server.waitUntilStopped()
    #expect(chat.occupancy.isEmpty)
  }

  private func request(_ port: Int) -> String {
    """
    GET /a HTTP/1.1\r\nHost: localhost:\(port)\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n
    """
  }

  private func comer(_ port: Int) throws -> RawClient {
    try RawClient(port: port, request: request(port), awaitsHead: false)
  }

  @Test func theHandshakeIsAnsweredWhenTheRoomIsOpen() async throws {
    try await withServer { server, chat, engine in
      let clients = [try comer(server.port), try comer(server.port)]
      var names = engine.names.makeAsyncIterator()
      #expect(await names.next() == "/a")
      #expect(!clients[0].hasSomething && !clients[1].hasSomething)
      engine.openAll()
      let heard = try await blocking {
        for client in clients { try client.readHead() }
        try clients[0].send("x")
        return try clients.map { try $0.receive() }
      }
      #expect(clients.allSatisfy { $0.response.hasPrefix("HTTP/1.1 101 ") } && heard == [.text("x"), .text("x")])
      #expect(chat.occupancy == ["/a": 2])
      // A second client joins a room that is already open.
      try await blocking { _ = try RawClient(port: server.port, path: "/a") }
    }
  }

  @Test func whenItTakesTooLongTheClientIsToldWhy() async throws {
    try await withServer(handshakeTimeout: .milliseconds(300)) { server, chat, engine in
      let client = try comer(server.port)
      let reason = try await blocking {
        try client.readHead()
        return try client.rest()
      }
      #expect(client.response.hasPrefix("HTTP/1.1 503 ") && reason == "the broker cannot be reached\n")
      while !chat.occupancy.isEmpty { await Task.yield() }
      #expect(server.statistics.rejections == [.rejectedByHandler: 1])
    }
  }

  @Test func whoeverWaitsIsLetGoWhenTheServerStops() async throws {
    try await withServer { server, chat, engine in
      let client = try comer(server.port)
      var names = engine.names.makeAsyncIterator()
      #expect(await names.next() == "/a")
      server.stop()
      try await blocking { try client.readHead() }
      #expect(client.response.hasPrefix("HTTP/1.1 503 "))
      while !chat.occupancy.isEmpty { await Task.yield() }
    }
  }

  @Test func a_client_accepted_by_another_handler_is_read_when_the_room_is_open() async throws {
    try await withServer(porter: true) { server, chat, engine in
      let (client, gone) = try await blocking {
        (try RawClient(port: server.port, path: "/a"), try RawClient(port: server.port, path: "/a"))
      }
      try client.send("early")
      gone.hangUp(reset: true)
      #expect(chat.occupancy == ["/a": 2])
      engine.openAll()
      let heard = try await blocking { try client.receive() }
      #expect(heard == .text("early"))
      while chat.occupancy != ["/a": 1] { await Task.yield() }
    }
  }
}
