import Confab
import ConfabTestSupport
import Foundation
import Synchronization
import Testing

@testable import ConfabChat

/// Tests what the program around a chat says and reads in it.
@Suite(.timeLimit(.minutes(1))) struct ProgramTests {
  private func withServer(
    _ options: ChatOptions = ChatOptions(), _ body: (Chat, Server) async throws -> Void
  ) async throws {
    let chat = Chat(options: options)
    let server = try chat.makeServer(Configuration(host: "127.0.0.1", port: 0))
    try server.start()
    try await body(chat, server)
    server.stop()
    await server.waitUntilStopped()
    #expect(chat.occupancy.isEmpty)
  }

  private func handshake(_ room: String, rich: Bool) -> String {
    """
    GET \(room) HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    \(rich ? "Sec-WebSocket-Protocol: chat.confab.v1\r\n" : "")\r\n
    """
  }

  /// Returns a client of the rich protocol after its welcome.
  private func join(_ room: String, _ name: String, _ server: Server) throws -> RawClient {
    let client = try RawClient(port: server.port, request: handshake(room, rich: true))
    try client.send(#"{"type":"hello","name":"\#(name)"}"#)
    #expect(try event(client)["type"] as? String == "welcome")
    return client
  }

  private func event(_ client: RawClient) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(client.receiveMessage())) as? [String: Any])
  }

  @Test func members_of_both_protocols_receive_the_programs_messages() async throws {
    try await withServer { chat, server in
      let plain = try RawClient(port: server.port, request: handshake("/tea", rich: false))
      let rich = try join("/tea", "Ann", server)
      let first = try await chat.publish("the kettle is on", in: "/tea", as: "Kitchen", key: "boil-1")
      let line = String(decoding: try plain.receiveMessage(), as: UTF8.self)
      #expect(line.contains("Kitchen") && line.hasSuffix("the kettle is on"))
      var message = try event(rich)
      while message["type"] as? String != "message" { message = try event(rich) }
      #expect(message["from"] as? String == "Kitchen" && message["tag"] as? String == "boil-1")
      #expect(message["id"] as? Int == first.offset)
      // The key makes it the same message, also at the same time.
      async let again = chat.publish("the kettle is on", in: "/tea", as: "Kitchen", key: "boil-1")
      async let third = chat.publish("the kettle is on", in: "/tea", as: "Kitchen", key: "boil-1")
      #expect(try await (again, third) == (first, first))
      let second = try await chat.publish("tea", in: "/tea", as: "Kitchen")
      #expect(second.offset == first.offset + 1)
      #expect(chat.members(of: "/tea").count == 2 && chat.members(of: "/tea").names == ["Ann"])
      #expect(chat.members(of: "/nowhere") == MemberList(names: [], count: 0))
      plain.hangUp()
      rich.hangUp()
    }
  }

  @Test func history_is_read_in_pages() async throws {
    try await withServer { chat, _ in
      var positions: [StreamPosition] = []
      for number in 0..<10 { positions.append(try await chat.publish("\(number)", in: "/log", as: "Bot")) }
      let newest = try await chat.history(of: "/log", count: 3)
      #expect(newest.messages.map(\.text) == ["7", "8", "9"] && newest.hasMore)
      #expect(newest.end == positions[9] && newest.messages.map(\.position) == Array(positions[7...]))
      #expect(newest.messages.allSatisfy { $0.name == "Bot" && $0.size == 1 && $0.key != nil && $0.member != nil })
      let older = try await chat.history(of: "/log", before: newest.messages[0].position, count: 100)
      #expect(older.messages.map(\.text) == (0..<7).map(String.init) && !older.hasMore)
      let newer = try await chat.history(of: "/log", after: positions[4], count: 2)
      #expect(newer.messages.map(\.text) == ["5", "6"] && newer.hasMore)
      await #expect(throws: ChatError.self) {
        try await chat.history(of: "/log", after: StreamPosition(epoch: "other", offset: 1))
      }
    }
  }

  @Test func publications_are_a_cursor_in_the_history() async throws {
    var options = ChatOptions()
    options.maxHistoryMessages = 20
    try await withServer(options) { chat, server in
      // Before anything is published, and without a position.
      let new = chat.publications(in: "/log")
      var start: StreamPosition?
      for number in 0..<5 {
        let position = try await chat.publish("\(number)", in: "/log", as: "Bot")
        start = start ?? position
      }
      #expect(try await new.first { _ in true }?.text == "0")
      #expect(try await new.first { _ in true }?.text == "0")

      var stored = StreamPosition(epoch: try #require(start).epoch, offset: 0)
      var texts: [String] = []
      for try await message in chat.publications(in: "/log", after: stored) {
        texts.append(message.text ?? "")
        stored = message.position
        if texts.count == 5 { _ = try await chat.publish("5", in: "/log", as: "Bot") }
        if texts.count == 6 { break }
      }
      #expect(texts == ["0", "1", "2", "3", "4", "5"])

      // A client's message arrives, too, and the reader's task can be cancelled.
      let client = try join("/log", "Ann", server)
      let reader = Task { [stored] in
        var texts: [String] = []
        for try await message in chat.publications(in: "/log", after: stored) {
          texts.append("\(message.name ?? ""): \(message.text ?? "")")
          if texts.count == 1 { client.hangUp() }
        }
        return texts
      }
      try client.send(#"{"type":"say","tag":"t1","text":"hello"}"#)
      _ = try? client.receiveMessage()
      while try await chat.history(of: "/log", count: 1).messages.last?.text != "hello" { await Task.yield() }
      reader.cancel()
      let received = try await reader.value
      #expect(received == ["Ann: hello"] || received.isEmpty)

      for number in 0..<30 { _ = try await chat.publish("\(number)", in: "/log", as: "Bot") }
      var late = chat.publications(in: "/log", after: stored).makeAsyncIterator()
      await #expect { try await late.next() } throws: { ($0 as? ChatError)?.code == .historyGone }
    }
  }

  @Test func the_program_edits_and_removes_messages() async throws {
    try await withServer { chat, _ in
      let first = try await chat.publish("good", in: "/tea", as: "Bot")
      let second = try await chat.publish("bad", in: "/tea", as: "Bot")
      let edit = try await chat.edit(first, to: "better", in: "/tea", as: "Host")
      let removal = try await chat.remove(second, in: "/tea", as: "Host")
      #expect([edit, removal].map(\.offset) == [3, 4])
      let messages = try await chat.history(of: "/tea").messages
      #expect(messages.map(\.entry) == [.message, .message, .edit(of: 1), .removal(of: 2)])
      #expect(messages.map(\.text) == ["better", "", "better", nil])
      #expect(messages.map(\.name) == ["Bot", "Bot", "Host", "Host"])
      #expect(messages.map(\.isEdited) == [true, false, false, false])
      #expect(messages.map(\.isRemoved) == [false, true, false, false])
      let wrong: [(StreamPosition, String, ChatError.Code)] = [
        (second, "again", .historyGone), (edit, "again", .historyGone), (first, "", .textInvalid),
        (StreamPosition(epoch: first.epoch, offset: 5), "again", .historyGone),
        (StreamPosition(epoch: first.epoch, offset: .max), "again", .historyGone),
        (StreamPosition(epoch: "other", offset: 1), "again", .epochChanged),
      ]
      for (position, text, code) in wrong {
        await #expect { try await chat.edit(position, to: text, in: "/tea", as: "Host") } throws: {
          ($0 as? ChatError)?.code == code
        }
      }
    }
  }

  @Test func invalid_arguments_are_errors() async throws {
    var options = ChatOptions()
    options.maxRooms = 1
    try await withServer(options) { chat, _ in
      let wrong: [(text: String, room: String, name: String, key: String?, ChatError.Code)] = [
        ("", "/tea", "Bot", nil, .textInvalid), (" \n", "/tea", "Bot", nil, .textInvalid),
        (String(repeating: "x", count: 4001), "/tea", "Bot", nil, .textInvalid),
        ("a", "/tea", "", nil, .nameInvalid), ("a", "/tea", "\u{200B}", nil, .nameInvalid),
        ("a", "/tea", "Bot", "no spaces", .keyInvalid), ("a", "/tea", "Bot", "", .keyInvalid),
        ("a", "tea", "Bot", nil, .roomInvalid), ("a", "", "Bot", nil, .roomInvalid),
        ("a", "/" + String(repeating: "x", count: 2000), "Bot", nil, .roomInvalid),
      ]
      for (text, room, name, key, code) in wrong {
        await #expect { try await chat.publish(text, in: room, as: name, key: key) } throws: {
          ($0 as? ChatError)?.code == code
        }
      }
      // A reader keeps its room, which is the only one.
      let new = chat.publications(in: "/tea")
      await #expect { try await chat.publish("a", in: "/other", as: "Bot") } throws: {
        ($0 as? ChatError)?.code == .tooManyRooms
      }
      _ = try await chat.publish("a", in: "/tea", as: "Bot")
      #expect(try await new.first { _ in true }?.text == "a")
    }
  }

  /// An engine whose messages get their offsets on request.
  private final class SlowEngine: Engine {
    let isShared = true
    let isAvailable = true
    private let state = Mutex<(delegate: (any RoomDelegate)?, drafts: [(Draft, PublisherQuota?)])>((nil, []))

    private final class SlowRoom: EngineRoom {
      let engine: SlowEngine
      init(_ engine: SlowEngine) { self.engine = engine }
      func publish(_ draft: () -> Draft, _ quota: PublisherQuota?) -> Position? {
        let draft = draft()
        engine.state.withLock { $0.drafts.append((draft, quota)) }
        return nil
      }
      func close() {}
    }

    func open(_ room: String, _ delegate: any RoomDelegate) -> any EngineRoom {
      state.withLock { $0.delegate = delegate }
      delegate.opened(.empty)
      return SlowRoom(self)
    }

    var pending: Int { state.withLock { $0.drafts.count } }

    func answer(_ body: (any RoomDelegate, [Draft]) -> Void) {
      let (delegate, drafts) = state.withLock { state in (state.delegate!, exchange(&state.drafts, with: [])) }
      body(delegate, drafts.map(\.0))
      for (draft, quota) in drafts { quota?.release(draft.bytes.count) }
    }

    func shutdown() async {}
  }

  @Test func publishing_waits_for_the_engine() async throws {
    let engine = SlowEngine()
    let chat = Chat(engine: engine)
    func publish(_ key: String) -> Task<StreamPosition, any Error> {
      Task { try await chat.publish("a", in: "/a", as: "Bot", key: key) }
    }
    let published = publish("1")
    while engine.pending < 1 { await Task.yield() }
    engine.answer { delegate, drafts in
      delegate.published(drafts.map { Publication($0, at: Position(offset: 7, time: 0)) })
    }
    #expect(try await published.value.offset == 7)

    let rejected = publish("2")
    while engine.pending < 1 { await Task.yield() }
    engine.answer { delegate, drafts in delegate.rejected(drafts) }
    await #expect { try await rejected.value } throws: { ($0 as? ChatError)?.code == .rejected }

    let lost = publish("3")
    while engine.pending < 1 { await Task.yield() }
    engine.answer { delegate, _ in delegate.opened(.empty) }
    await #expect { try await lost.value } throws: { ($0 as? ChatError)?.code == .unknown }

    let restored = publish("4")
    while engine.pending < 1 { await Task.yield() }
    engine.answer { delegate, drafts in
      delegate.opened(
        RoomSnapshot(
          epoch: "new", lastOffset: 3, publications: [Publication(drafts[0], at: Position(offset: 3, time: 0))]))
    }
    #expect(try await restored.value == StreamPosition(epoch: "new", offset: 3))
  }

  @Test func the_server_closes_connections_of_its_choice() async throws {
    try await withServer { chat, server in
      let clients = try (0..<4).map { _ in try RawClient(port: server.port, request: handshake("/tea", rich: false)) }
      let ids = Mutex<Set<UInt64>>([])
      while ids.withLock({ $0.count }) < clients.count {
        server.forEachConnection { connection in ids.withLock { _ = $0.insert(connection.id) } }
        for loop in server.loops {
          await withCheckedContinuation { done in loop.execute { done.resume() } }
        }
      }
      let chosen = Set(ids.withLock { $0.sorted().prefix(2) })
      #expect(await server.close(.policyViolation, reason: "enough") { chosen.contains($0.id) } == 2)
      // Each client of the choice gets the close frame, the others a message.
      _ = try await chat.publish("still here", in: "/tea", as: "Bot")
      var closed = 0
      for client in clients { if try client.receive() == .close(1008, "enough") { closed += 1 } }
      #expect(closed == 2)
    }
  }
}
