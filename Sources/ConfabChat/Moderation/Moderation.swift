internal import Confab
internal import Synchronization

/// The restrictions of a chat. Any thread.
///
/// A change takes effect on this server at once. The engine stores it, and passes it on to other servers.
final class Moderation: Sendable {
  /// Time in which the session of a kicked client is void.
  static let kickTime = Duration.seconds(24 * 3600)
  /// Time in which servers apply a kick of a user or a network. A server that receives the kick later ignores it,
  /// because the client may have connected again.
  static let momentTime = Duration.seconds(60)

  private let options: ChatOptions
  private let engine: any Engine
  private let rooms: ChatRooms
  private let table = Mutex(RestrictionTable())
  private let changes = Atomic(0)

  init(_ options: ChatOptions, _ engine: any Engine, _ rooms: ChatRooms) {
    (self.options, self.engine, self.rooms) = (options, engine, rooms)
    engine.openRestrictions(Receiver(self))
  }

  /// Passes the calls of the engine on. The reference is weak, because ``Moderation`` retains the engine, and the
  /// engine its delegate.
  private final class Receiver: RestrictionDelegate {
    private weak let moderation: Moderation?

    init(_ moderation: Moderation) { self.moderation = moderation }

    func restored(_ restrictions: [Restriction]) { moderation?.restore(restrictions) }
    func changed(_ change: RestrictionChange) { moderation?.apply(change) }
  }

  /// Number that rises with each change, so that connections need not look up their restrictions again.
  var version: Int { changes.load(ordering: .acquiring) }

  /// Whether there has never been a restriction.
  var isEmpty: Bool { version == 0 }

  // MARK: Looking up

  /// Returns the restriction of a client in a room that ends last.
  private func longest(_ kind: Restriction.Kind, of client: ModeratedClient, in room: String) -> Restriction? {
    if isEmpty { return nil }
    return table.withLock { $0.longest(kind, of: client, in: room, now: WallClock.milliseconds) }
  }

  /// Returns the longest ban of a client; nil if the client may enter the room.
  func ban(of client: ModeratedClient, in room: String) -> Restriction? { longest(.ban, of: client, in: room) }

  /// Returns the longest mute of a client; nil if the client may send messages in the room.
  func mute(of client: ModeratedClient, in room: String) -> Restriction? { longest(.mute, of: client, in: room) }

  /// Returns whether the program has banned all clients with this address from a room, including users.
  func bans(_ address: AddressRange?, from room: String) -> Bool {
    guard !isEmpty, address != nil else { return false }
    var client = ModeratedClient(nil, nil, at: address)
    client.isGuest = false
    return ban(of: client, in: room) != nil
  }

  /// Returns the kick that makes a session void in a room; nil if the session is not void.
  func kick(of guest: GuestID, in room: String) -> Restriction? {
    longest(.kick, of: ModeratedClient(nil, guest, at: nil), in: room)
  }

  /// Returns a mute or ban.
  subscript(id: String) -> Restriction? { table.withLock { $0[id] } }

  /// Returns the mutes and bans that have not ended and whose room is one of `rooms`, in the order of their ids. Nil in
  /// `rooms` means those that apply to all rooms. If `rooms` is nil, returns all mutes and bans.
  func list(of rooms: [String?]?) -> [Restriction] {
    let all = table.withLock { table in
      table.removeEnded(now: WallClock.milliseconds)
      return rooms.map { table.mutesAndBans(of: $0) } ?? table.mutesAndBans()
    }
    return all.sorted { $0.id < $1.id }
  }

  // MARK: Changes of this server

  /// Makes a change. Calls `done` once, on any thread, when the engine has stored the change or will not store it.
  ///
  /// - Parameter done: gets an error if the change is in effect on this server, but will not be stored.
  func submit(
    _ change: RestrictionChange, _ done: @escaping @Sendable (ChatError?) -> Void
  ) throws(ChatError) {
    if case .set(let restriction) = change, Restriction(json: restriction.json) != restriction {
      throw ChatError(.roomInvalid, "the room or a name is too long for a restriction")
    }
    let limit = options.maxRestrictions
    let (old, forgotten) = try table.withLock { table throws(ChatError) in
      table.removeEnded(now: WallClock.milliseconds)
      let old = table[change.id]
      switch change {
      case .set(let restriction):
        guard restriction.kind == .kick || old != nil || table.count < limit else {
          throw ChatError(.tooManyRestrictions, "there are \(limit) mutes and bans: lift some of them first")
        }
      case .lift: if old == nil { throw ChatError(.restrictionGone, "there is no such restriction") }
      }
      return (old, self.apply(change, to: &table))
    }
    enforce(old, change)
    engine.store(change) { isStored in
      done(isStored ? nil : ChatError(.unavailable, "the restriction is in effect on this server, but is not stored"))
    }
    lift(forgotten)
  }

  /// Applies a change. Returns the ids of the kicks that are forgotten because of the limit.
  private func apply(_ change: RestrictionChange, to table: inout RestrictionTable) -> [String] {
    let forgotten = table.apply(change)
    changes.add(1, ordering: .releasing)
    return forgotten.map { [$0] } ?? []
  }

  /// Lifts forgotten kicks at the engine, so that it does not store more of them than the chat.
  private func lift(_ forgotten: [String]) { for id in forgotten { engine.store(.lift(id: id)) { _ in } } }

  /// Makes the session of a client void after a kick of its user or network has closed it.
  func void(_ guest: GuestID, by kick: Restriction) {
    let until = WallClock.milliseconds + Moderation.kickTime.milliseconds
    let kick = Restriction(
      .kick, .guest(guest, network: nil), in: kick.room, until: until, reason: kick.reason, name: kick.name,
      by: kick.by, isByModerator: kick.isByModerator)
    try? submit(.set(kick)) { _ in }
  }

  // MARK: Changes of the engine

  private func apply(_ change: RestrictionChange) {
    let applied: (old: Restriction?, forgotten: [String])? = table.withLock { table in
      let old = table[change.id]
      switch change {
      case .set(let restriction): if restriction == old { return nil }
      case .lift: if old == nil { return nil }
      }
      table.removeEnded(now: WallClock.milliseconds)
      return (old, self.apply(change, to: &table))
    }
    guard let applied else { return }
    enforce(applied.old, change)
    lift(applied.forgotten)
  }

  private func restore(_ restrictions: [Restriction]) {
    var forgotten: [String] = []
    let restored = RestrictionTable(restrictions, now: WallClock.milliseconds, forgotten: &forgotten)
    let old = table.withLock { table in
      let old = Dictionary(uniqueKeysWithValues: table.restrictions.map { ($0.id, $0) })
      // Nothing changes at the start of a server without restrictions.
      if !old.isEmpty || !restored.restrictions.isEmpty { changes.add(1, ordering: .releasing) }
      table = restored
      return old
    }
    lift(forgotten)
    let new = Set(restrictions.map(\.id))
    for restriction in restrictions where old[restriction.id] != restriction {
      enforce(old[restriction.id], .set(restriction))
    }
    for id in old.keys where !new.contains(id) { enforce(old[id], .lift(id: id)) }
  }

  /// Applies a change to the clients of this server.
  private func enforce(_ old: Restriction?, _ change: RestrictionChange) {
    var new: Restriction?
    if case .set(let restriction) = change { new = restriction }
    let changed = [old, new].compactMap { $0 }
    guard let room = changed.first?.room else {
      if !changed.isEmpty { for room in rooms.rooms(named: nil) { enforce(changed, new, in: room) } }
      return
    }
    for room in rooms.rooms(named: room) { enforce(changed, new, in: room) }
  }

  private func enforce(_ changed: [Restriction], _ new: Restriction?, in room: ChatRoom) {
    room.forEachConnection { connection in
      (connection.handlerState as? ChatConnection)?.restrictionsChanged(changed, new, in: room, connection)
    }
  }
}

extension Duration {
  var milliseconds: Int64 {
    let (seconds, attoseconds) = components
    return seconds * 1000 + attoseconds / 1_000_000_000_000_000
  }
}

extension Authorization {
  /// Rejection of a banned client, with status 403.
  static var banned: Authorization { .reject(Response(status: 403, "banned\n")) }
}
