internal import Confab

/// The restrictions that have not ended, by their targets.
struct RestrictionTable {
  /// Maximum number of kicks of sessions, and of kicks of users and networks. At the limit, a new kick replaces the
  /// oldest one of its kind.
  static let maxKicks = 1000

  /// Restrictions of which only the one that ends last decides.
  private struct Key: Hashable {
    let kind: Restriction.Kind
    /// Nil means all rooms.
    let room: ByteKey?
    let target: Part
    let isByModerator: Bool
  }

  /// A property by which a client is looked up.
  private enum Part: Hashable {
    case user(ByteKey)
    case guest(GuestID)
    case network(AddressRange)
    case guests(AddressRange)
  }

  /// The length of the prefix of a network.
  private struct Prefix: Hashable {
    let kind: Restriction.Kind
    let bits: Int
    let isIPv4: Bool
    /// Whether only guests in the network are restricted.
    let isOfGuests: Bool
  }

  private var all: [String: Restriction] = [:]
  private var orders: [Key: RestrictionOrder] = [:]
  /// Number of networks with a prefix of each length.
  private var prefixes: [Prefix: Int] = [:]
  /// Ids of mutes and bans by their rooms.
  private var ids: [ByteKey?: Set<String>] = [:]
  /// All restrictions.
  private var ends = RestrictionOrder()
  private var sessionKicks = RestrictionOrder()
  /// Kicks of users and networks. They are short, and must not be forgotten instead of older kicks of sessions.
  private var otherKicks = RestrictionOrder()

  init() {}

  /// Restores restrictions. `forgotten` gets the ids of kicks beyond the limit.
  init(_ restrictions: [Restriction], now: Int64, forgotten: inout [String]) {
    // In this order, each restriction is appended to the orders.
    let entries = restrictions.map { (entry: RestrictionOrder.Entry($0), restriction: $0) }
    for (_, restriction) in entries.sorted(by: { $0.entry.isBefore($1.entry) }) where restriction.isActive(at: now) {
      if let kicks = RestrictionTable.kicks(like: restriction), self[keyPath: kicks].count >= RestrictionTable.maxKicks
      {
        forgotten.append(restriction.id)
      } else {
        apply(.set(restriction))
      }
    }
  }

  /// Number of mutes and bans.
  var count: Int { all.count - sessionKicks.count - otherKicks.count }
  var restrictions: some Collection<Restriction> { all.values }

  subscript(id: String) -> Restriction? { all[id] }

  /// Returns the mutes and bans whose room is one of `rooms`, in no order. Nil in `rooms` means those in all rooms.
  func mutesAndBans(of rooms: [String?]) -> [Restriction] {
    rooms.flatMap { ids[$0.map(ByteKey.init)] ?? [] }.compactMap { all[$0] }
  }

  /// Returns all mutes and bans, in no order.
  func mutesAndBans() -> [Restriction] { mutesAndBans(of: ids.keys.map { $0?.text }) }

  /// Returns the restriction of a client in a room that ends last; nil if none is active.
  func longest(_ kind: Restriction.Kind, of client: ModeratedClient, in room: String, now: Int64) -> Restriction? {
    if all.isEmpty { return nil }
    let longest = candidates(kind, of: client, in: room).min { $0.isBefore($1) }
    return longest.flatMap { all[$0.id] }.flatMap { $0.isActive(at: now) ? $0 : nil }
  }

  /// Returns the restriction that ends last for each way in which a client can be restricted in a room. Their number
  /// depends on the lengths of prefixes, but not on the number of restrictions.
  func candidates(
    _ kind: Restriction.Kind, of client: ModeratedClient, in room: String
  ) -> [RestrictionOrder.Entry] {
    var parts: [Part] = []
    if let user = client.user { parts.append(.user(ByteKey(user))) }
    if let guest = client.guest { parts.append(.guest(guest)) }
    if let address = client.address {
      for prefix in prefixes.keys where prefix.kind == kind && prefix.isIPv4 == address.isIPv4 {
        let range = address.prefix(prefix.bits)
        if !prefix.isOfGuests { parts.append(.network(range)) } else if client.isGuest { parts.append(.guests(range)) }
      }
    }
    var candidates: [RestrictionOrder.Entry] = []
    let rooms = [ByteKey(room), nil]
    for part in parts {
      for room in rooms {
        // Moderators are exempt from the restrictions of moderators.
        for isByModerator in client.isModerator ? [false] : [false, true] {
          let key = Key(kind: kind, room: room, target: part, isByModerator: isByModerator)
          if let first = orders[key]?.first { candidates.append(first) }
        }
      }
    }
    return candidates
  }

  /// Applies a change. Returns the id of the kick that is forgotten because of the limit, if any.
  @discardableResult
  mutating func apply(_ change: RestrictionChange) -> String? {
    remove(change.id)
    guard case .set(let restriction) = change else { return nil }
    var forgotten: String?
    if let kicks = RestrictionTable.kicks(like: restriction) {
      if self[keyPath: kicks].count >= RestrictionTable.maxKicks { forgotten = self[keyPath: kicks].last?.id }
      if let forgotten { remove(forgotten) }
      self[keyPath: kicks].insert(restriction)
    } else {
      ids[restriction.room.map(ByteKey.init), default: []].insert(restriction.id)
    }
    all[restriction.id] = restriction
    ends.insert(restriction)
    for key in RestrictionTable.keys(of: restriction) { orders[key, default: RestrictionOrder()].insert(restriction) }
    if let prefix = RestrictionTable.prefix(of: restriction) { prefixes[prefix, default: 0] += 1 }
    return forgotten
  }

  private mutating func remove(_ id: String) {
    guard let restriction = all.removeValue(forKey: id) else { return }
    if let kicks = RestrictionTable.kicks(like: restriction) {
      self[keyPath: kicks].remove(restriction)
    } else {
      let room = restriction.room.map(ByteKey.init)
      ids[room]?.remove(id)
      if ids[room]?.isEmpty == true { ids[room] = nil }
    }
    ends.remove(restriction)
    for key in RestrictionTable.keys(of: restriction) {
      orders[key]?.remove(restriction)
      if orders[key]?.isEmpty == true { orders[key] = nil }
    }
    guard let prefix = RestrictionTable.prefix(of: restriction) else { return }
    prefixes[prefix, default: 0] -= 1
    if prefixes[prefix] == 0 { prefixes[prefix] = nil }
  }

  /// Removes restrictions that have ended.
  mutating func removeEnded(now: Int64) {
    while let last = ends.last, last.until <= now { remove(last.id) }
  }

  /// Returns where the kicks with such a target are; nil if the restriction is a mute or a ban.
  private static func kicks(
    like restriction: Restriction
  ) -> WritableKeyPath<RestrictionTable, RestrictionOrder>? {
    guard restriction.kind == .kick else { return nil }
    if case .guest = restriction.target { return \.sessionKicks }
    return \.otherKicks
  }

  private static func prefix(of restriction: Restriction) -> Prefix? {
    guard let range = restriction.target.network?.range else { return nil }
    var isOfGuests = false
    if case .guest = restriction.target { isOfGuests = true }
    return Prefix(kind: restriction.kind, bits: range.bits, isIPv4: range.isIPv4, isOfGuests: isOfGuests)
  }

  private static func keys(of restriction: Restriction) -> [Key] {
    let parts: [Part] =
      switch restriction.target {
      case .user(let id): [.user(ByteKey(id))]
      case .guest(let guest, let network): [.guest(guest)] + (network.map { [.guests($0.range)] } ?? [])
      case .network(let network): [.network(network.range)]
      }
    return parts.map {
      Key(
        kind: restriction.kind, room: restriction.room.map(ByteKey.init), target: $0,
        isByModerator: restriction.isByModerator)
    }
  }
}

extension Restriction.Target {
  /// The network of the target, if any.
  var network: Network? {
    switch self {
    case .user: nil
    case .guest(_, let network): network
    case .network(let network): network
    }
  }
}
