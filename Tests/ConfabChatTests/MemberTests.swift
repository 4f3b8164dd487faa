import Confab
import ConfabTestSupport
import Foundation
import Testing

@testable import ConfabChat

/// Tests what the program learns of the members of a room.
@Suite(.timeLimit(.minutes(1))) struct MemberTests {
  private func join(_ name: String, _ server: Server) throws -> RawClient {
    let handshake = """
      GET /tea HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
      Sec-WebSocket-Protocol: chat.confab.v1\r\n\r\n
      """
    let client = try RawClient(port: server.port, request: handshake)
    try client.send(#"{"type":"hello","name":"\#(name)"}"#)
    _ = try client.receiveMessage()
    return client
  }

  private func text(_ change: MemberChange?) -> String {
    switch change {
    case .joined(let member): "+\(member.name)"
    case .left(let member): "-\(member.name)"
    case .renamed(let member, let old): "\(old)=\(member.name)"
    case nil: ""
    }
  }

  @Test func changes_begin_with_the_present_members() async throws {
    let chat = Chat()
    let server = try chat.makeServer(Configuration(host: "127.0.0.1", port: 0))
    try server.start()
    let ann = try join("Ann", server)
    let changes = chat.memberChanges(in: "/tea").makeAsyncIterator()
    #expect(text(try await changes.next(isolation: nil)) == "+Ann")
    let bob = try join("Bob", server)
    #expect(text(try await changes.next(isolation: nil)) == "+Bob")
    try ann.send(#"{"type":"rename","name":"Anna"}"#)
    let renamed = try await changes.next(isolation: nil)
    #expect(text(renamed) == "Ann=Anna")
    bob.hangUp()
    #expect(text(try await changes.next(isolation: nil)) == "-Bob")
    ann.hangUp()
    guard case .left(let left) = try await changes.next(isolation: nil), case .renamed(let member, _) = renamed else {
      Issue.record("no change")
      return
    }
    #expect(left == member && left.user == nil)
    server.stop()
    await server.waitUntilStopped()
  }

  @Test func members_of_other_servers_are_reported_once() async throws {
    let chat = Chat()
    let reference = try await chat.open("/tea")
    let session = Session(in: "/tea")
    func presence(_ names: [(String, Session)]) -> ServerPresence {
      let members = names.map { MemberPresence(Name($0.0, limit: 32)!, $0.1, connectionNumber: 1) }
      return ServerPresence(members: members, count: members.count)
    }
    let changes = chat.memberChanges(in: "/tea").makeAsyncIterator()
    reference.room.presenceChanged(on: "other", to: presence([("Ann", session)]))
    #expect(text(try await changes.next(isolation: nil)) == "+Ann")
    // Ann is on both servers for a moment, and then moves and is renamed.
    reference.room.presenceChanged(on: "third", to: presence([("Ann", session)]))
    reference.room.presenceChanged(on: "other", to: presence([("Bob", Session(in: "/tea"))]))
    #expect(text(try await changes.next(isolation: nil)) == "+Bob")
    reference.room.presenceChanged(on: "third", to: presence([("Anna", session)]))
    #expect(text(try await changes.next(isolation: nil)) == "Ann=Anna")
    reference.room.presenceChanged(on: "other", to: presence([]))
    #expect(text(try await changes.next(isolation: nil)) == "-Bob")
  }

  @Test func changes_end_with_the_task() async throws {
    let chat = Chat()
    let task = Task {
      let changes = chat.memberChanges(in: "/tea").makeAsyncIterator()
      return try await changes.next(isolation: nil)
    }
    task.cancel()
    #expect(try await task.value == nil)
    let invalid = chat.memberChanges(in: "tea").makeAsyncIterator()
    await #expect(throws: ChatError.self) { try await invalid.next(isolation: nil) }
  }
}
