import ConfabTestSupport
import Logging
import Synchronization
import Testing

@testable import Confab

/// The user of a connection.
private final class User: Sendable {
  let name: String
  init(_ name: String) { self.name = name }
}

/// Accepts clients with a token, asks `ask` about others, and greets each user by name.
private final class Door: Handler {
  let ask: @Sendable (String) async -> Authorization
  let told: @Sendable (String) -> Void

  init(told: @escaping @Sendable (String) -> Void, ask: @escaping @Sendable (String) async -> Authorization) {
    (self.told, self.ask) = (told, ask)
  }

  func authorize(_ request: borrowing Request) -> Authorization {
    switch request[header: "X-Token"] {
    case "ann": return .accept(context: User("Ann"))
    case "bob":
      let response = Response(status: 401, headers: ["WWW-Authenticate": "Bearer"], "not you\n")
      return .reject(response)
    case let token?:
      return .ask { [ask] in await ask(token) }
    case nil: return .reject(Response(status: 403, "a token, please\n"))
    }
  }

  func response(to request: borrowing Request) -> Response? {
    request.path == "/hello" ? Response(headers: ["X-Query": request.query.joined(separator: " ")], "hello\n") : nil
  }

  func opened(_ connection: Connection, request: Request) {
    told("opened \(request.path) \(request.query) \(request.subprotocol ?? "-") \(request[header: "origin"] ?? "-")")
    connection.send("hello \((connection.context as? User)?.name ?? "nobody")")
  }

  func received(_ message: Message, from connection: Connection) { connection.send(message) }
  func moving(_ connection: Connection, after delay: Duration) { told("moving") }
  func closed(_ connection: Connection, _ close: Close) { told("closed \(close.code.rawValue)") }
}

@Suite struct AuthorizationTests {
  private func withDoor(
    _ change: (inout Configuration) -> Void = { _ in },
    ask: @escaping @Sendable (String) async -> Authorization = { _ in .accept() },
    _ body: (Server, inout AsyncStream<String>.AsyncIterator) async throws -> Void
  ) async throws {
    var configuration = Configuration(host: "127.0.0.1", port: 0)
    configuration.logger.logLevel = .critical
    configuration.loops = 1
    configuration.subprotocols = ["chat"]
    change(&configuration)
    let (told, continuation) = AsyncStream.makeStream(of: String.self)
    let server = try Server(configuration) { _ in Door(told: { continuation.yield($0) }, ask: ask) }
    try server.start()
    var iterator = told.makeAsyncIterator()
    let outcome = await Result { try await body(server, &iterator) }
    server.stop()
    await server.waitUntilStopped()
    continuation.finish()
    try outcome.get()
    #expect(server.statistics.connections == 0)
  }

  private func request(_ token: String, port: Int, path: String = "/") -> String {
    """
    GET \(path) HTTP/1.1\r\nHost: localhost:\(port)\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nX-Token: \(token)\r\n\
    Sec-WebSocket-Protocol: chat\r\nOrigin: http://localhost:\(port)\r\n\r\n
    """
  }

  @Test func acceptedConnectionHasItsContext() async throws {
    try await withDoor { server, _ in
      let client = try RawClient(port: server.port, headers: ["X-Token: ann"])
      #expect(try client.receive() == .text("hello Ann"))
    }
  }

  @Test func rejectedClientGetsStatusHeadersAndBody() async throws {
    try await withDoor { server, _ in
      let client = try RawClient(port: server.port, request: request("bob", port: server.port))
      #expect(client.response.hasPrefix("HTTP/1.1 401 Unauthorized\r\n"))
      #expect(client.response.contains("\r\nWWW-Authenticate: Bearer\r\n"))
      #expect(try client.rest() == "not you\n")
      #expect(server.statistics.rejections == [.rejectedByHandler: 1])
    }
  }

  @Test func responseWaitsForAuthorization() async throws {
    let (asked, continuation) = AsyncStream.makeStream(of: String.self)
    let answer = Mutex<CheckedContinuation<Authorization, Never>?>(nil)
    try await withDoor(ask: { token in
      await withCheckedContinuation { waiting in
        answer.withLock { $0 = waiting }
        continuation.yield(token)
      }
    }) { server, told in
      let client = try RawClient(
        port: server.port, request: request("eve", port: server.port, path: "/a?b=c"), awaitsHead: false)
      var questions = asked.makeAsyncIterator()
      #expect(await questions.next() == "eve")
      // Other clients are served meanwhile.
      let other = try RawClient(port: server.port, headers: ["X-Token: ann"])
      #expect(try other.receive() == .text("hello Ann"))
      #expect(await told.next() == "opened / [] - -")
      #expect(!client.hasSomething)

      answer.withLock { $0?.resume(returning: .accept(context: User("Eve"))) }
      try await blocking { try client.readHead() }
      #expect(client.response.hasPrefix("HTTP/1.1 101 "))
      #expect(client.response.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"))
      #expect(client.response.contains("Sec-WebSocket-Protocol: chat\r\n"))
      #expect(try client.receive() == .text("hello Eve"))
      #expect(await told.next() == "opened /a [\"b=c\"] chat http://localhost:\(server.port)")
      for number in 0..<3 {
        try client.send("message \(number)")
        #expect(try client.receive() == .text("message \(number)"))
      }
    }
  }

  @Test func authorizationMayRejectOrContinue() async throws {
    try await withDoor(ask: { token in
      token == "no" ? .reject(Response(status: 402, "pay first\n")) : .ask { .accept(context: User("Later")) }
    }) { server, _ in
      let (no, yes) = (request("no", port: server.port), request("yes", port: server.port))
      let rejected = try await blocking { try RawClient(port: server.port, request: no) }
      #expect(rejected.response.hasPrefix("HTTP/1.1 402 "))
      #expect(try rejected.rest() == "pay first\n")
      let accepted = try await blocking { try RawClient(port: server.port, request: yes) }
      #expect(try accepted.receive() == .text("hello Later"))
    }
  }

  @Test func unansweredAuthorizationTimesOut() async throws {
    let (cancelled, continuation) = AsyncStream.makeStream(of: Void.self)
    try await withDoor(
      { $0.handshakeTimeout = .milliseconds(100) },
      ask: { _ in
        try? await Task.sleep(for: .seconds(3600))
        continuation.yield()
        return .accept()
      }
    ) { server, _ in
      let client = try RawClient(port: server.port, request: request("slow", port: server.port))
      #expect(client.response.hasPrefix("HTTP/1.1 503 "))
      #expect(server.statistics.rejections == [.authorizationTimeout: 1])
      var waits = cancelled.makeAsyncIterator()
      await waits.next()
    }
  }

  @Test func clientMayDisconnectDuringAuthorization() async throws {
    let (asked, continuation) = AsyncStream.makeStream(of: Void.self)
    let release = AsyncStream.makeStream(of: Void.self)
    try await withDoor(ask: { _ in
      continuation.yield()
      for await _ in release.stream { break }
      return .accept()
    }) { server, told in
      let client = try RawClient(port: server.port, request: request("eve", port: server.port), awaitsHead: false)
      var questions = asked.makeAsyncIterator()
      await questions.next()
      client.hangUp(reset: true)
      release.continuation.yield()
      // The connection no longer counts, though the server does not read from it.
      let deadline = ContinuousClock.now + .seconds(10)
      while server.statistics.connections > 0, ContinuousClock.now < deadline { await Task.yield() }
      #expect(server.statistics.connections == 0)
      // The handler has got neither the open nor the close, or both.
      let other = try await blocking { [port = server.port] in try RawClient(port: port, headers: ["X-Token: ann"]) }
      #expect(try other.receive() == .text("hello Ann"))
      var events: [String] = []
      while events.last != "opened / [] - -", let event = await told.next() { events.append(event) }
      #expect(events.count == 1 || events.count == 3 && events.first?.hasPrefix("opened / [] chat") == true)
    }
  }

  @Test func responsesWithoutContentHaveNoLength() {
    let text = String(decoding: Response(status: 204, "x").bytes(), as: UTF8.self)
    #expect(text.hasPrefix("HTTP/1.1 204 No Content\r\n"))
    #expect(!text.contains("Content-Length"))
    #expect(text.hasSuffix("\r\n\r\n"))
  }

  @Test func dataBeforeTheResponseIsRejected() async throws {
    try await withDoor(ask: { _ in
      try? await Task.sleep(for: .seconds(3600))
      return .accept()
    }) { server, _ in
      let early = request("eve", port: server.port).utf8 + RawClient.frame(1, Array("early".utf8))
      let client = try RawClient(port: server.port, request: "", awaitsHead: false)
      try client.write(Array(early))
      try client.readHead()
      #expect(client.response.hasPrefix("HTTP/1.1 400 ") || client.response.isEmpty)
    }
  }

  @Test func stoppingRejectsPendingAuthorizations() async throws {
    let (asked, continuation) = AsyncStream.makeStream(of: Void.self)
    try await withDoor(ask: { _ in
      continuation.yield()
      try? await Task.sleep(for: .seconds(3600))
      return .accept()
    }) { server, _ in
      let client = try RawClient(port: server.port, request: request("eve", port: server.port), awaitsHead: false)
      var questions = asked.makeAsyncIterator()
      await questions.next()
      server.stop()
      try client.readHead()
      #expect(client.response.hasPrefix("HTTP/1.1 503 "))
    }
  }

  @Test func clientAcceptedDuringDrainingIsNotified() async throws {
    let (asked, continuation) = AsyncStream.makeStream(of: Void.self)
    let release = AsyncStream.makeStream(of: Void.self)
    try await withDoor(
      { $0.drainTime = .seconds(600) },
      ask: { _ in
        continuation.yield()
        for await _ in release.stream { break }
        return .accept()
      }
    ) { server, told in
      let client = try RawClient(port: server.port, request: request("eve", port: server.port), awaitsHead: false)
      var questions = asked.makeAsyncIterator()
      await questions.next()
      server.stop()
      release.continuation.yield()
      try await blocking { try client.readHead() }
      #expect(client.response.hasPrefix("HTTP/1.1 101 "))
      #expect(await told.next()?.hasPrefix("opened ") == true)
      #expect(await told.next() == "moving")
      server.stop(within: .zero)
    }
  }

  @Test(arguments: ["GET", "HEAD"]) func handlerRespondsToPageRequests(method: String) async throws {
    try await withDoor { server, _ in
      let client = try RawClient(port: server.port, request: "\(method) /hello?a=b%20c HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(client.response.hasPrefix("HTTP/1.1 200 OK\r\n"))
      #expect(client.response.contains("\r\nX-Query: a=b c\r\n"))
      #expect(client.response.contains("\r\nContent-Length: 6\r\n"))
      #expect(try client.rest() == (method == "GET" ? "hello\n" : ""))
      let other = try RawClient(port: server.port, request: "\(method) /other HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(other.response.hasPrefix("HTTP/1.1 404 "))
    }
  }
}

extension Result where Failure == any Error {
  fileprivate init(_ body: () async throws -> Success) async {
    do { self = .success(try await body()) } catch { self = .failure(error) }
  }
}
