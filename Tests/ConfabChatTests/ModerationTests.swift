import Confab
import ConfabTestSupport
import Foundation
import Testing

@testable import ConfabChat

@Suite(.timeLimit(.minutes(1))) struct ModerationTests {
  private func network(_ text: String) throws -> Network { try Network(text) }

  private func restriction(
    _ kind: Restriction.Kind = .ban, _ target: Restriction.Target, in room: String? = "/tea", until: Int64? = nil,
    isByModerator: Bool = false
  ) -> Restriction {
    Restriction(
      kind, target, in: room, until: until, reason: "r", name: "Bob", by: "Mod", isByModerator: isByModerator)
  }

  private func guest(_ session: String, _ address: String? = nil) -> ModeratedClient {
    ModeratedClient(nil, GuestID(session: session), at: address.flatMap { AddressRange($0) })
  }

  // MARK: Networks

  @Test(arguments: [
    ("192.0.2.7", "192.0.2.7"), ("192.0.2.7/32", "192.0.2.7"), ("192.0.2.7/24", "192.0.2.0/24"),
    ("::ffff:192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7/120", "192.0.2.0/24"), ("2001:DB8::1", "2001:db8::1"),
    ("2001:db8::1/48", "2001:db8::/48"), ("10.0.0.0/8", "10.0.0.0/8"), ("::1/128", "::1"),
  ]) func network_has_a_canonical_form(_ text: String, _ canonical: String) throws {
    #expect(try network(text).description == canonical)
    #expect(try network(text) == network(canonical))
  }

  @Test(arguments: [
    "", "x", "192.0.2", "192.0.2.7/33", "192.0.2.7/-1", "192.0.2.7/", "192.0.2.7/+24", "0.0.0.0/0", "10.0.0.0/7",
    "::/0", "::/15",
    "::ffff:0.0.0.0/96", "::ffff:0.0.0.0/95", "::ffff:10.0.0.0/103", "fe80::1%eth0", "192.0.2.7/8/8", "1.2.3.4\0",
    "192.0.2.7/99999999999999999999",
  ]) func malformed_or_large_network_is_rejected(_ text: String) {
    #expect { try network(text) } throws: { ($0 as? ChatError)?.code == .networkInvalid }
  }

  // MARK: The stored form

  @Test func stored_form_is_read_back() throws {
    let targets: [Restriction.Target] = [
      .user("u1"), .user("\"\u{301}\n"), .guest(GuestID(session: "s"), network: nil),
      .guest(GuestID(session: "s"), network: try network("2001:db8::/64")), .network(try network("192.0.2.0/24")),
    ]
    for target in targets {
      for kind in Restriction.Kind.allCases {
        for (room, until) in [("/tea", nil), (nil, 5), ("/caf\u{e9}", Int64(253_402_300_799_999))]
          as [(String?, Int64?)]
        {
          let one = restriction(kind, target, in: room, until: until, isByModerator: until == nil)
          let read = try #require(Restriction(json: one.json))
          #expect(read == one && read.id == one.id && read.id.utf8.count == 32)
        }
      }
    }
    #expect(Set(targets.map { restriction(.ban, $0).id }).count == 4)
  }

  @Test(arguments: [
    #"{}"#, #"[]"#, "", "\u{0}", #"{"author":"program","by":"x","kind":"exile","user":"u"}"#,
    #"{"author":"program","by":"x","kind":"ban"}"#, #"{"author":"nobody","by":"x","kind":"ban","user":"u"}"#,
    #"{"author":"program","by":"x","kind":"ban","user":"u","network":"192.0.2.7"}"#,
    #"{"author":"program","by":"x","kind":"ban","user":"u","user":"v"}"#,
    #"{"author":"program","by":"x","kind":"ban","user":"u","room":null}"#,
    #"{"author":"program","by":"x","kind":"ban","user":"u","room":"tea"}"#,
    #"{"author":"program","by":"x","kind":"ban","user":"u","room":"/cafe\u0301"}"#,
    #"{"author":"program","by":"x","kind":"ban","user":"u","until":-1}"#,
    #"{"author":"program","by":"x","kind":"ban","user":"u","until":1e300}"#,
    #"{"author":"program","by":"x","kind":"ban","user":"u","until":9223372036854775807}"#,
    #"{"author":"program","by":"x","kind":"ban","guest":"0123456789abcde"}"#,
    #"{"author":"program","by":"x","kind":"ban","guest":"+123456789abcdef"}"#,
    #"{"author":"program","by":"x","kind":"ban","network":"0.0.0.0/0"}"#,
    #"{"author":"program","by":"","kind":"ban","user":"u"}"#, #"{"author":"program","by":"x","kind":"ban","user":""}"#,
  ]) func other_forms_are_unreadable(_ json: String) {
    #expect(Restriction(json: Array(json.utf8)) == nil)
  }

  // MARK: Which clients

  @Test func restriction_applies_to_its_target_in_its_room() throws {
    var table = RestrictionTable()
    func found(_ client: ModeratedClient, _ room: String = "/tea", now: Int64 = 0) -> Set<String> {
      Set(Restriction.Kind.allCases.compactMap { table.longest($0, of: client, in: room, now: now)?.id })
    }
    let one = restriction(.ban, .guest(GuestID(session: "one"), network: try network("192.0.2.7")))
    let two = restriction(.mute, .network(try network("192.0.0.0/16")), in: nil, until: 10)
    let three = restriction(.ban, .user("caf\u{e9}"))
    for each in [one, two, three] { table.apply(.set(each)) }
    #expect(found(guest("one")) == [one.id] && found(guest("two")).isEmpty)
    #expect(found(guest("one"), "/coffee").isEmpty && found(guest("one"), "/Tea").isEmpty)
    #expect(found(guest("two", "192.0.2.7")) == [one.id, two.id] && found(guest("two", "192.0.2.8")) == [two.id])
    #expect(found(guest("two", "192.0.2.7"), now: 10) == [one.id])
    #expect(found(guest("two", "192.0.2.8"), "/coffee") == [two.id])
    var user = guest("two", "192.0.2.7")
    (user.isGuest, user.user) = (false, "caf\u{e9}")
    #expect(found(user) == [two.id, three.id])
    // Ids of users are compared by bytes.
    user.user = "cafe\u{301}"
    #expect(found(user) == [two.id])
    #expect(table.count == 3)
    table.removeEnded(now: 10)
    #expect(table.count == 2)
    table.apply(.lift(id: one.id))
    table.apply(.lift(id: "none"))
    #expect(found(guest("one")).isEmpty && table.count == 1)
  }

  @Test func restriction_of_a_moderator_spares_moderators() throws {
    var client = guest("one", "192.0.2.7")
    client.isModerator = true
    let network = try network("192.0.2.7")
    #expect(
      !restriction(.ban, .guest(GuestID(session: "two"), network: network), isByModerator: true).applies(
        to: client, in: "/tea"))
    #expect(restriction(.ban, .network(network)).applies(to: client, in: "/tea"))
  }

  @Test(
    arguments: [
      (nil, nil, nil), (1, nil, 1001), (1, 5, 1001), (10, 5, 1005), (nil, 5, 1005), (Int.max, nil, nil),
      (253_402_300_800_000, nil, nil), (253_402_300_798_999, nil, 253_402_300_799_999),
    ] as [(Int?, Int64?, Int64?)]) func end_is_computed_without_overflow(
      _ duration: Int?, _ limit: Int64?, _ end: Int64?
    ) throws
  {
    let json = #"{"type":"ban","name":"x"\#(duration.map { ",\"for\":\($0)" } ?? "")}"#
    var head = ClientEvent.Head()
    guard case .moderate(let event) = ClientEvent(Array(json.utf8), &head) else {
      Issue.record("\(json)")
      return
    }
    #expect(event.until(now: 1000, limit: limit.map { .milliseconds($0) }) == end)
  }

  // MARK: The program

  private func withChat(
    _ options: ChatOptions = ChatOptions(), _ body: (Chat, Server) async throws -> Void
  ) async throws {
    let chat = Chat(
      options: options,
      admit: { request, _ in
        Identity(id: request[query: "user"] ?? "u", rights: .member)
      })
    let server = try chat.makeServer(Configuration(host: "127.0.0.1", port: 0))
    try server.start()
    try await body(chat, server)
    server.stop()
    await server.waitUntilStopped()
  }

  private func connect(_ path: String, _ server: Server, rich: Bool = true) throws -> RawClient {
    let request = """
      GET \(path) HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
      \(rich ? "Sec-WebSocket-Protocol: chat.confab.v1\r\n" : "")\r\n
      """
    return try RawClient(port: server.port, request: request)
  }

  private func until(_ type: String, _ client: RawClient) throws -> [String: Any] {
    while true {
      let event = try #require(try JSONSerialization.jsonObject(with: Data(client.receiveMessage())) as? [String: Any])
      if event["type"] as? String == type { return event }
    }
  }

  private func join(_ path: String, _ name: String, _ server: Server) throws -> RawClient {
    let client = try connect(path, server)
    try client.send(#"{"type":"hello","name":"\#(name)"}"#)
    _ = try until("welcome", client)
    return client
  }

  @Test func program_mutes_bans_and_kicks_a_user_in_all_rooms() async throws {
    try await withChat { chat, server in
      let (tea, coffee) = (try join("/tea?user=u1", "Ann", server), try join("/coffee?user=u1", "Ann", server))
      #expect(chat.target(named: "ann", in: "/tea") == .user("u1") && chat.target(named: "Bob", in: "/tea") == nil)
      let mute = try await chat.mute(.user("u1"), reason: "hush", by: "Bot")
      #expect(try until("muted", tea)["reason"] as? String == "hush")
      #expect(try until("muted", coffee)["reason"] as? String == "hush")
      #expect(chat.restrictions(in: "/tea") == [mute] && mute.room == nil && mute.by == "Bot" && !mute.isByModerator)
      try await chat.unmute(.user("u1"))
      _ = try until("unmuted", tea)
      try await chat.kick(.user("u1"), in: "/coffee", by: "Bot")
      _ = try until("kicked", coffee)
      let ban = try await chat.ban(.network(try Network("127.0.0.0/8")), in: "/tea", by: "Bot")
      _ = try until("banned", tea)
      #expect(chat.restrictions(in: "/coffee").isEmpty && chat.restrictions() == [ban])
      // The handshake is rejected before the client is asked who it is.
      #expect(throws: (any Error).self) { try join("/tea?user=u2", "Bob", server) }
      _ = try join("/coffee?user=u1", "Ann", server)
      try await chat.lift(ban.id)
      _ = try join("/tea?user=u2", "Bob", server)
    }
  }

  @Test func wrong_arguments_of_the_program_are_errors() async throws {
    var options = ChatOptions()
    options.maxRestrictions = 1
    try await withChat(options) { chat, _ in
      func code(_ body: () async throws -> Void) async -> ChatError.Code? {
        do { try await body() } catch { return (error as? ChatError)?.code }
        return nil
      }
      let user = Restriction.Target.user("u")
      #expect(await code { try await chat.ban(.user(""), by: "Bot") } == .userInvalid)
      #expect(await code { try await chat.ban(.user(String(repeating: "x", count: 257)), by: "Bot") } == .userInvalid)
      #expect(await code { try await chat.ban(user, by: "") } == .nameInvalid)
      #expect(await code { try await chat.ban(user, in: "tea", by: "Bot") } == .roomInvalid)
      #expect(
        await code { try await chat.ban(user, reason: String(repeating: "x", count: 301), by: "Bot") } == .textInvalid)
      for until in [Int64.min, 0, 1, 253_402_300_800_000, .max] {
        #expect(await code { try await chat.ban(user, until: until, by: "Bot") } == .timeInvalid)
      }
      #expect(await code { try await chat.unban(user) } == .restrictionGone)
      #expect(await code { try await chat.lift("x") } == .restrictionGone)
      #expect(await code { try await chat.ban(user, by: "Bot") } == nil)
      #expect(await code { try await chat.ban(user, reason: "again", by: "Bot") } == nil)
      #expect(await code { try await chat.mute(user, by: "Bot") } == .tooManyRestrictions)
      #expect(await code { try await chat.kick(user, by: "Bot") } == nil)
      #expect(chat.restrictions().map(\.reason) == ["again"])
    }
  }
}
