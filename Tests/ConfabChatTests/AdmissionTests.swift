import Confab
import ConfabTestSupport
import Synchronization
import Testing

@testable import ConfabChat

@Suite(.timeLimit(.minutes(1))) struct AdmissionTests {
  private struct OtherError: Error {}

  /// Decisions that the test makes. Their task ends when it is cancelled.
  private final class Gate: Sendable {
    let asked: AsyncStream<String?>
    private let asking: AsyncStream<String?>.Continuation
    private let decided: AsyncStream<Void>
    let decide: AsyncStream<Void>.Continuation
    let cancelled = Mutex(0)

    init() {
      (asked, asking) = AsyncStream.makeStream()
      (decided, decide) = AsyncStream.makeStream()
    }

    func admit(_ token: String?) async throws -> Identity {
      asking.yield(token)
      for await _ in decided { break }
      if Task.isCancelled { cancelled.withLock { $0 += 1 } }
      return Identity(id: "u", name: "Ann")
    }

    func isCancelled() async throws {
      while cancelled.withLock({ $0 == 0 }) { try await Task.sleep(for: .milliseconds(5)) }
    }
  }

  private func withServer(
    _ admission: Admission, handshakeTimeout: Duration = .seconds(10), porter: Bool = false,
    _ body: (Server, Chat) async throws -> Void
  ) async throws {
    let chat = Chat(admit: admission)
    var configuration = Configuration(port: 0)
    configuration.handshakeTimeout = handshakeTimeout
    let server = try chat.makeServer(configuration) { porter ? Porter(chat.handler(on: $0)) : chat.handler(on: $0) }
    try server.start()
    try await body(server, chat)
    server.stop()
    await server.waitUntilStopped()
    #expect(chat.occupancy.isEmpty)
  }

  private static let rich = ["Sec-WebSocket-Protocol: other, chat.confab.v1"]

  // Waiting blocks the thread, and decisions need the threads of tasks.

  private func rich(_ server: Server, _ headers: [String] = []) async throws -> RawClient {
    let port = server.port
    return try await blocking { try RawClient(port: port, headers: AdmissionTests.rich + headers) }
  }

  private func frame(_ client: RawClient) async throws -> RawClient.ReceivedFrame {
    try #require(try await blocking { try client.receive() })
  }

  private func event(_ client: RawClient) async throws -> String {
    String(decoding: try await frame(client).payload, as: UTF8.self)
  }

  @Test func eventsAfterTheHelloWaitForTheDecision() async throws {
    let gate = Gate()
    try await withServer(Admission { _, token in try await gate.admit(token) }) { server, chat in
      let client = try await rich(server)
      try client.send(#"{"type":"hello","token":"t"}"#)
      try client.send(#"{"type":"say","tag":"a","text":"hi"}"#)
      for await token in gate.asked {
        #expect(token == "t")
        break
      }
      #expect(chat.occupancy.isEmpty)
      gate.decide.finish()
      #expect(try await event(client).contains(#""name":"Ann""#))
      #expect(try await event(client).contains(#""text":"hi""#))
    }
  }

  @Test func decisionOfAClientThatHasGoneIsCancelled() async throws {
    let gate = Gate()
    try await withServer(Admission { _, token in try await gate.admit(token) }) { server, _ in
      let client = try await rich(server)
      try client.send(#"{"type":"hello","token":"t"}"#)
      for await _ in gate.asked { break }
      client.hangUp()
      // The server does not read from a client that waits, so it finds out at the timeout.
    }
    try await gate.isCancelled()
  }

  @Test func lateDecisionIsIgnored() async throws {
    let gate = Gate()
    try await withServer(Admission { _, token in try await gate.admit(token) }, handshakeTimeout: .seconds(3)) {
      server, _ in
      let client = try await rich(server)
      try client.send(#"{"type":"hello","token":"t"}"#)
      #expect(try await event(client).contains(#""code":"unavailable""#))
      #expect(try await frame(client) == .close(1013, "not available, try again later"))
      try await gate.isCancelled()
    }
  }

  /// Compressed messages of a few KiB could otherwise fill the memory while a decision is pending.
  @Test func bytesBeforeTheDecisionAreBounded() async throws {
    let gate = Gate()
    try await withServer(Admission { _, token in try await gate.admit(token) }) { server, _ in
      let client = try await rich(server)
      let text = Array(String(repeating: "x", count: 50).utf8)
      let hello = RawClient.frame(1, Array(#"{"type":"hello","token":"t"}"#.utf8))
      // One read has the hello and the events after it: thousands of them are below the limit.
      try client.write(hello + (0..<100).flatMap { _ in RawClient.frame(1, text) })
      for await _ in gate.asked { break }
      gate.decide.finish()
      #expect(try await event(client).contains(#""type":"welcome""#))
    }
    let admission = Admission(deciding: { _, _ in .admit(Identity(id: "u", name: "Ann")) })
    try await withServer(admission) { server, _ in
      let client = try await rich(server)
      try client.send(String(repeating: "x", count: 300_000))
      #expect(try await event(client).contains(#""code":"textTooLong""#))
      #expect(try await frame(client) == .close(1008, "too many bytes before the welcome"))
    }
  }

  @Test(arguments: [
    (AdmissionError(.tokenRequired), "401", "token required"), (AdmissionError(.tokenInvalid), "401", "invalid token"),
    (AdmissionError(.tokenExpired), "401", "token expired"), (AdmissionError(.forbidden, "banned"), "403", "banned"),
    (AdmissionError(.unavailable), "503", "not available, try again later"),
  ]) func plainClientGetsTheReasonAsStatus(_ error: AdmissionError, _ status: String, _ text: String) async throws {
    try await withServer(Admission { _, _ in throw error }) { server, _ in
      let request = (["GET / HTTP/1.1"] + RawClient.handshake).joined(separator: "\r\n") + "\r\n\r\n"
      let port = server.port
      let (head, body) = try await blocking {
        let client = try RawClient(port: port, request: request)
        return (client.response, try client.rest())
      }
      #expect(head.hasPrefix("HTTP/1.1 \(status) ") && body == text + "\n")
    }
  }

  /// The client does not learn about errors of the program.
  @Test func otherErrorsReject() async throws {
    try await withServer(Admission { _, _ in throw OtherError() }) { server, _ in
      let client = try await rich(server)
      try client.send(#"{"type":"hello","name":"Ann"}"#)
      #expect(try await event(client).contains(#""code":"forbidden","message":"not allowed""#))
      #expect(try await frame(client) == .close(4003, "not allowed"))
    }
  }

  /// A custom handler that forgets the chat's authorization does not open it.
  @Test func handlerWithoutAuthorizationDoesNotOpenTheChat() async throws {
    let admission = Admission(deciding: { _, token in
      token == "secret" ? .admit(Identity(id: "u", name: "Ann")) : .reject(AdmissionError(.tokenRequired))
    })
    try await withServer(admission, porter: true) { server, _ in
      let plain = try RawClient(port: server.port)
      #expect(try await frame(plain) == .close(4003, "token required"))
      let client = try await rich(server)
      try client.send(#"{"type":"hello","name":"Ann"}"#)
      #expect(try await event(client).contains(#""code":"tokenRequired""#))
      #expect(try await frame(client) == .close(4003, "token required"))
      let user = try await rich(server, ["Authorization: Bearer secret"])
      try user.send(#"{"type":"hello"}"#)
      #expect(try await event(user).contains(#""name":"Ann""#))
      let other = try RawClient(port: server.port, headers: ["Authorization: Bearer secret"])
      try user.send(#"{"type":"say","tag":"a","text":"hi"}"#)
      #expect(try String(decoding: other.receiveMessage(), as: UTF8.self).hasSuffix("hi"))
    }
  }

  @Test(arguments: ["", String(repeating: "x", count: 257)]) func idWithoutALengthIsRejected(_ id: String) async throws
  {
    try await withServer(Admission(deciding: { _, _ in .admit(Identity(id: id)) })) { server, _ in
      let client = try await rich(server)
      try client.send(#"{"type":"hello","name":"Ann"}"#)
      #expect(try await event(client).contains(#""code":"tokenInvalid""#))
    }
  }

  /// Times far away must not overflow.
  @Test(arguments: [Int64.max, Int64.max - 1, 1 << 60]) func distantExpiryIsFine(_ expires: Int64) async throws {
    try await withServer(Admission(deciding: { _, _ in .admit(Identity(id: "u", expires: expires)) })) { server, _ in
      let client = try await rich(server)
      try client.send(#"{"type":"hello","name":"Ann"}"#)
      #expect(try await event(client).contains(#""type":"welcome""#))
    }
    try await withServer(Admission(deciding: { _, _ in .admit(Identity(id: "u", expires: -expires)) })) { server, _ in
      let client = try await rich(server)
      try client.send(#"{"type":"hello","name":"Ann"}"#)
      #expect(try await event(client).contains(#""code":"tokenExpired""#))
    }
  }

  @Test func roomPatterns() {
    for (pattern, room, matches) in [
      ("/tea", "/tea", true), ("/tea", "/tea/", false), ("/tea", "/teas", false), ("/tea", "/Tea", false),
      ("/team/*", "/team/a", true), ("/team/*", "/team/a/b", true), ("/team/*", "/team/", true),
      ("/team/*", "/team", false), ("/team/*", "/teams/a", false), ("/*", "/", true), ("/*", "/tea", true),
      ("/caf\u{E9}", "/cafe\u{301}", true), ("/cafe\u{301}/*", "/caf\u{E9}/x", true), ("/tea*", "/teas", false),
      ("/cafe", "/cafe\u{301}", false), ("/cafe/*", "/cafe/\u{301}", true),
    ] {
      let identity = Identity(id: "u", rooms: [RoomPattern(pattern)].compactMap(\.self))
      #expect(identity.mayEnter(room) == matches, "\(pattern) \(room)")
    }
    for text in ["", "tea", "*", " /tea", "/" + String(repeating: "x", count: 1024)] {
      #expect(RoomPattern(text) == nil)
    }
    #expect(!Identity(id: "u", rights: [.say]).mayEnter("/") && !Identity(id: "u", rooms: []).mayEnter("/"))
  }

  @Test func rightsHaveNames() {
    #expect(Rights(names: ["say", "read"])?.names == ["read", "say"] && Rights(names: []) == [])
    #expect(Rights(names: ["Read"]) == nil && Rights(names: ["read", "all"]) == nil)
  }
}

/// Verified names in the members of a room.
struct VerifiedNameTests {
  private final class Client {}

  private func name(_ text: String) -> Name { Name(text, limit: 32)! }

  private func report(_ members: (String, owner: String?)...) -> ServerPresence {
    ServerPresence(
      members: members.map { text, owner in
        MemberPresence(name(text), Session(in: "/"), connectionNumber: 1, owner: owner)
      }, count: members.count)
  }

  @Test func verifiedUserOfAnotherServerDisplacesAName() {
    var members = RoomMembers<Client>(room: "/")
    let (one, two) = (Client(), Client())
    #expect(members.join(name("ann"), as: one, session: nil) != nil)
    #expect(members.join(name("Bob"), as: two, session: nil, owner: "u2") != nil)
    let change = members.update("other", report(("Ann", owner: "u1"), ("Bob", owner: "u3")))
    #expect(change.displaced.map(\.name.text) == ["ann2"] && change.displaced.first?.connection === one)
    // Verified here, too: neither user loses the name.
    #expect(members.names(9).sorted() == ["Ann", "Bob", "ann2"])
  }

  @Test func nameOfAVerifiedUserElsewhereIsTakenExceptForThatUser() {
    var members = RoomMembers<Client>(room: "/")
    _ = members.update("other", report(("Ann", owner: "u1"), ("Bob", owner: nil)))
    #expect(members.join(name("ANN"), as: Client(), session: nil) == nil)
    #expect(members.join(name("Ann"), as: Client(), session: nil, owner: "u2") == nil)
    #expect(members.join(name("Ann"), as: Client(), session: nil, owner: "u1")?.isReturning == false)
    #expect(members.join(name("Bob"), as: Client(), session: nil, owner: "u2") != nil)
    #expect(members.join(name("Bob"), as: Client(), session: nil) == nil)
  }

  /// Random joins, renames and leaves: a verified name has one owner, and each name's holders are known.
  @Test(arguments: 0..<20) func namesHaveOneOwner(_ seed: UInt64) {
    var random = Generator(state: seed)
    var members = RoomMembers<Client>(room: "/")
    var present: [(client: Client, member: Member, session: Session)] = []
    let names = ["Ann", "ANN", "Bob", "Cid"].map(name)
    for _ in 0..<400 {
      let name = names.randomElement(using: &random)!
      let owner = [nil, "u1", "u2"].randomElement(using: &random)!
      switch Int.random(in: 0..<4, using: &random) {
      case 0, 1:
        let session = Bool.random(using: &random) ? present.randomElement(using: &random)?.session : nil
        let client = Client()
        guard let join = members.join(name, as: client, session: session, owner: owner) else { continue }
        present.removeAll { $0.client === join.replaced }
        present.append((client, join.session.member, join.session))
      case 2:
        guard let one = present.randomElement(using: &random) else { continue }
        if members.member(one.member, of: one.client)?.owner == nil { _ = members.rename(one.member, to: name) }
      default:
        guard let index = present.indices.randomElement(using: &random) else { continue }
        let one = present.remove(at: index)
        #expect(members.leave(one.member, one.client) != nil)
      }
      let here = present.map { members.member($0.member, of: $0.client) }
      #expect(here.allSatisfy { $0 != nil })
      for (_, holders) in Dictionary(grouping: here.compactMap(\.self), by: \.name.key) {
        #expect(holders.count == 1 || Set(holders.map(\.owner)).count == 1 && holders[0].owner != nil)
        #expect(holders.allSatisfy { members.isPresent($0.name) })
      }
      #expect(Set(members.names(99)).isSubset(of: here.compactMap { $0?.name.text }))
    }
  }

  private struct Generator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state
    }
  }
}
