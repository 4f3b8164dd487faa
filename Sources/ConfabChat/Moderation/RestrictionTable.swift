internal import Confab

/// The restrictions that have not ended, by their targets.
struct RestrictionTable {
  /// Maximum number of kicks. At the limit, a new kick replaces the oldest one.
  static let maxKicks = 1000

  /// A target in a room, or in all rooms.
  private struct Key: Hashable {
    let room: String?
    let target: Part
  }

  /// A property by which a client is looked up.
  private enum Part: Hashable {
    /// In bytes, because to Swift, texts in different normalization forms are equal.
    case user([UInt8])
    case guest(GuestID)
    case network(AddressRange)
    case guests(AddressRange)
  }

  private var all: [String: Restriction] = [:]
  private var ids: [Key: Set<String>] = [:]
  /// Number of networks with a prefix of each length.
  private var prefixes: [Prefix: Int] = [:]
  private var kicks: Set<String> = []

  private struct Prefix: Hashable {
    let bits: Int
    let isIPv4: Bool

    init(_ range: AddressRange) { (bits, isIPv4) = (range.bits, range.isIPv4) }
  }

  /// Number of mutes and bans.
  var count: Int { all.count - kicks.count }
  var restrictions: some Collection<Restriction> { all.values }

  subscript(id: String) -> Restriction? { all[id] }

  /// Returns the active restrictions of a client in a room, in any order.
  func restrictions(of client: ModeratedClient, in room: String, now: Int64) -> [Restriction] {
    if all.isEmpty { return [] }
    var parts: [Part] = []
    if let user = client.user { parts.append(.user(Array(user.utf8))) }
    if let guest = client.guest { parts.append(.guest(guest)) }
    if let address = client.address {
      for prefix in prefixes.keys where prefix.isIPv4 == address.isIPv4 {
        parts.append(.network(address.prefix(prefix.bits)))
        if client.isGuest { parts.append(.guests(address.prefix(prefix.bits))) }
      }
    }
    let keys = parts.flatMap { [Key(room: room, target: $0), Key(room: nil, target: $0)] }
    return keys.flatMap { ids[$0] ?? [] }.compactMap { all[$0] }.filter {
      $0.isActive(at: now) && $0.applies(to: client, in: room)
    }
  }

  /// Applies a change.
  mutating func apply(_ change: RestrictionChange) {
    remove(change.id)
    guard case .set(let restriction) = change else { return }
    if restriction.kind == .kick {
      if kicks.count >= RestrictionTable.maxKicks { forgetOldestKick() }
      kicks.insert(restriction.id)
    }
    all[restriction.id] = restriction
    for key in RestrictionTable.keys(of: restriction) { ids[key, default: []].insert(restriction.id) }
    if let range = restriction.target.network?.range { prefixes[Prefix(range), default: 0] += 1 }
  }

  private mutating func remove(_ id: String) {
    guard let restriction = all.removeValue(forKey: id) else { return }
    kicks.remove(id)
    for key in RestrictionTable.keys(of: restriction) {
      ids[key]?.remove(id)
      if ids[key]?.isEmpty == true { ids[key] = nil }
    }
    guard let range = restriction.target.network?.range else { return }
    prefixes[Prefix(range), default: 0] -= 1
    if prefixes[Prefix(range)] == 0 { prefixes[Prefix(range)] = nil }
  }

  private mutating func forgetOldestKick() {
    if let oldest = kicks.min(by: { all[$0]?.until ?? .max < all[$1]?.until ?? .max }) { remove(oldest) }
  }

  /// Removes restrictions that have ended.
  mutating func removeEnded(now: Int64) {
    for restriction in all.values where !restriction.isActive(at: now) { remove(restriction.id) }
  }

  private static func keys(of restriction: Restriction) -> [Key] {
    let parts: [Part] =
      switch restriction.target {
      case .user(let id): [.user(Array(id.utf8))]
      case .guest(let guest, let network): [.guest(guest)] + (network.map { [.guests($0.range)] } ?? [])
      case .network(let network): [.network(network.range)]
      }
    return parts.map { Key(room: restriction.room, target: $0) }
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
