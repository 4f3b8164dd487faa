import Confab
import Synchronization
import Testing

@testable import ConfabChat

extension ModerationTests {
  @Suite struct TableTests {
    private let sessions = (0..<5).map { "\($0)" }
    private let addresses = ["192.0.2.1", "192.0.2.2", "10.0.0.1", "2001:db8::1", "2001:db8:0:1::1", "::1"]
    private let rooms = ["/tea", "/coffee", nil]

    private func restriction(
      _ kind: Restriction.Kind, _ target: Restriction.Target, in room: String? = "/tea", until: Int64?,
      isByModerator: Bool = false
    ) -> Restriction {
      Restriction(kind, target, in: room, until: until, reason: nil, name: nil, by: "Mod", isByModerator: isByModerator)
    }

    private func kick(_ number: Int) -> Restriction {
      restriction(.kick, .guest(GuestID(session: "\(number)"), network: nil), until: Int64(1000 + number))
    }

    private func randomRestriction() throws -> Restriction {
      let networks = ["192.0.2.1", "192.0.2.0/24", "10.0.0.0/8", "2001:db8::/32", "2001:db8::/64", "::1"]
      let network = try Network(networks.randomElement()!)
      let guest = GuestID(session: sessions.randomElement()!)
      let target: Restriction.Target = [
        .guest(guest, network: Bool.random() ? network : nil), .user(sessions.randomElement()!), .network(network),
      ].randomElement()!
      return restriction(
        Restriction.Kind.allCases.randomElement()!, target, in: rooms.randomElement()!,
        until: Bool.random() ? Int64.random(in: 0...100) : nil, isByModerator: Bool.random())
    }

    private func randomClient() -> ModeratedClient {
      let guest = Bool.random() ? GuestID(session: sessions.randomElement()!) : nil
      var client = ModeratedClient(nil, guest, at: addresses.randomElement().flatMap { AddressRange($0) })
      (client.isGuest, client.isModerator) = (Bool.random(), Bool.random())
      client.user = Bool.random() ? sessions.randomElement() : nil
      return client
    }

    /// Returns the restriction that a walk over all of them finds.
    private func longest(
      _ kind: Restriction.Kind, of client: ModeratedClient, in room: String, now: Int64,
      among all: some Collection<Restriction>
    ) -> Restriction? {
      all.filter { $0.kind == kind && $0.isActive(at: now) && $0.applies(to: client, in: room) }
        .min { RestrictionOrder.Entry($0).isBefore(RestrictionOrder.Entry($1)) }
    }

    @Test func table_agrees_with_a_walk_over_all_restrictions() throws {
      for _ in 0..<20 {
        var (table, model) = (RestrictionTable(), [String: Restriction]())
        for now in Int64(0)...100 {
          let one = try randomRestriction()
          let change = Int.random(in: 0..<3) > 0 ? RestrictionChange.set(one) : .lift(id: one.id)
          #expect(table.apply(change) == nil)
          if case .set = change { model[one.id] = one } else { model[one.id] = nil }
          if Bool.random() {
            table.removeEnded(now: now)
            model = model.filter { $0.value.isActive(at: now) }
          }
          for _ in 0..<5 {
            let (client, room) = (randomClient(), ["/tea", "/coffee", "/"].randomElement()!)
            for kind in Restriction.Kind.allCases {
              let found = table.longest(kind, of: client, in: room, now: now)
              #expect(found == longest(kind, of: client, in: room, now: now, among: model.values))
            }
          }
          let listed = model.values.filter { $0.kind != .kick }
          #expect(Set(table.restrictions) == Set(model.values) && table.count == listed.count)
          #expect(Set(table.mutesAndBans()) == Set(listed))
          #expect(Set(table.mutesAndBans(of: ["/tea", nil])) == Set(listed.filter { $0.room != "/coffee" }))
          #expect(Set(table.mutesAndBans(of: ["/tea"])) == Set(listed.filter { $0.room == "/tea" }))
        }
        var forgotten: [String] = []
        let restored = RestrictionTable(Array(model.values), now: 50, forgotten: &forgotten)
        #expect(Set(restored.restrictions) == Set(model.values.filter { $0.isActive(at: 50) }) && forgotten.isEmpty)
        // Nothing is left of a restriction that is lifted.
        for id in model.keys { table.apply(.lift(id: id)) }
        #expect(String(describing: table) == String(describing: RestrictionTable()))
      }
    }

    @Test func lookup_visits_few_of_many_restrictions_of_a_network() throws {
      let network = try Network("192.0.2.7")
      let all = (0..<10_000).map { number in
        restriction(
          .mute, .guest(GuestID(session: "\(number)"), network: network), until: Int64.random(in: 1...1000),
          isByModerator: number % 2 == 0)
      }
      var forgotten: [String] = []
      var table = RestrictionTable(all, now: 0, forgotten: &forgotten)
      var client = ModeratedClient(nil, GuestID(session: "other"), at: network.range)
      var left = all.sorted { RestrictionOrder.Entry($0).isBefore(RestrictionOrder.Entry($1)) }[...]
      for isModerator in [false, true, false, true] {
        client.isModerator = isModerator
        #expect(table.candidates(.mute, of: client, in: "/tea").count == (isModerator ? 1 : 2))
        #expect(table.candidates(.ban, of: client, in: "/tea").isEmpty)
        let found = table.longest(.mute, of: client, in: "/tea", now: 0)
        #expect(found != nil && found == longest(.mute, of: client, in: "/tea", now: 0, among: left))
        for _ in 0..<100 { table.apply(.lift(id: left.removeFirst().id)) }
      }
      table.removeEnded(now: 500)
      #expect(Set(table.restrictions) == Set(left.filter { $0.isActive(at: 500) }))
    }

    @Test func oldest_kick_is_forgotten() {
      var table = RestrictionTable()
      // It ends first, but is not of a session.
      table.apply(.set(restriction(.kick, .user("u"), until: 1)))
      for number in 1...RestrictionTable.maxKicks { #expect(table.apply(.set(kick(number))) == nil) }
      #expect(table.apply(.set(kick(1))) == nil)
      // The new one is kept, even if it ends first.
      #expect(table.apply(.set(kick(0))) == kick(1).id && table[kick(0).id] == kick(0))
      #expect(table.apply(.set(kick(5000))) == kick(0).id)
      #expect(table.count == 0 && table.restrictions.count == RestrictionTable.maxKicks + 1)
      func found(_ number: Int) -> Restriction? {
        let client = ModeratedClient(nil, GuestID(session: "\(number)"), at: nil)
        return table.longest(.kick, of: client, in: "/tea", now: 0)
      }
      #expect(found(0) == nil && found(1) == nil && found(2) == kick(2) && found(5000) == kick(5000))
    }

    /// An engine that stores restrictions in memory.
    private final class StoringEngine: Engine {
      let isShared = true
      let isAvailable = true
      let stored = Mutex([String: Restriction]())
      let delegate = Mutex((any RestrictionDelegate)?.none)

      init(_ restrictions: [Restriction]) {
        stored.withLock { for each in restrictions { $0[each.id] = each } }
      }

      private final class Room: EngineRoom {
        func publish(_ draft: () -> Draft, _ quota: PublisherQuota?) -> Position? { nil }
        func close() {}
      }

      func open(_ room: String, _ delegate: any RoomDelegate) -> any EngineRoom { Room() }

      func openRestrictions(_ delegate: any RestrictionDelegate) {
        self.delegate.withLock { $0 = delegate }
        delegate.restored(stored.withLock { Array($0.values) })
      }

      func store(_ change: RestrictionChange, _ done: @escaping @Sendable (Bool) -> Void) {
        stored.withLock { if case .set(let one) = change { $0[one.id] = one } else { $0[change.id] = nil } }
        done(true)
      }

      func shutdown() async {}
    }

    @Test func ended_restriction_of_another_server_is_removed() throws {
      let engine = StoringEngine([])
      let chat = Chat(options: ChatOptions(), engine: engine)
      let delegate = try #require(engine.delegate.withLock { $0 })
      let ended = restriction(.mute, .user("u"), until: WallClock.milliseconds)
      delegate.changed(.set(ended))
      let other = restriction(.ban, .user("u"), until: nil)
      delegate.changed(.set(other))
      #expect(chat.moderation[ended.id] == nil && chat.moderation[other.id] == other)
    }

    @Test func forgotten_kicks_are_lifted_at_the_engine() async throws {
      let now = WallClock.milliseconds
      let kicks = (1...RestrictionTable.maxKicks + 5).map { number in
        restriction(
          .kick, .guest(GuestID(session: "\(number)"), network: nil), until: now + 3_600_000 + Int64(number))
      }
      let engine = StoringEngine(kicks.shuffled())
      let chat = Chat(options: ChatOptions(), engine: engine)
      func expectStored(_ expected: some Sequence<Restriction>) {
        #expect(engine.stored.withLock { Set($0.keys) } == Set(expected.map(\.id)))
      }
      // At the start.
      expectStored(kicks.dropFirst(5))
      // When this server makes one.
      let user = Restriction.Target.user("u")
      try await chat.kick(user, by: "Bot")
      let target = Restriction.Target.guest(GuestID(session: "0"), network: nil)
      try await chat.kick(target, by: "Bot")
      let made = [user, target].map { restriction(.kick, $0, in: nil, until: nil) }
      expectStored(kicks.dropFirst(6) + made)
      // When another server makes one, and when it lifts the forgotten one.
      let other = kicks[0]
      engine.stored.withLock { $0[other.id] = other }
      let delegate = try #require(engine.delegate.withLock { $0 })
      delegate.changed(.set(other))
      expectStored(kicks.dropFirst(7) + made + [other])
      let version = chat.moderation.version
      delegate.changed(.lift(id: kicks[6].id))
      delegate.changed(.set(other))
      #expect(chat.moderation.version == version)
    }
  }
}
