internal import Confab

/// A mute, a ban or a kick of a client.
public struct Restriction: Sendable, Hashable, Identifiable {
  /// The kinds of restrictions.
  public enum Kind: String, Sendable, CaseIterable {
    /// The client cannot send or edit messages, rename itself, or send typing events.
    case mute
    /// The client is closed with 4003, and cannot enter again.
    case ban
    /// The client was closed with 4003. Its session is void: if the client comes back, it is a new member.
    case kick
  }

  /// The clients that a restriction applies to.
  public enum Target: Sendable, Hashable {
    /// The connections of the user with this ``Identity/id``.
    case user(String)
    /// The client with this session. If `network` is not nil, also all other guests whose address is in that network.
    /// Guests are clients without an identity, or with ``Identity/isGuest``.
    case guest(GuestID, network: Network?)
    /// All clients whose address is in the network. Behind a trusted proxy, a client has the address that the proxy
    /// names.
    case network(Network)
  }

  /// Maximum length of ``reason`` in bytes of UTF-8.
  public static let maxReasonLength = 300

  /// Identifier: 32 hexadecimal digits. A later restriction of the same kind, target and room has the same identifier,
  /// and replaces this restriction.
  public let id: String
  /// The kind.
  public let kind: Kind
  /// The clients that the restriction applies to.
  public let target: Target
  /// The room in which the restriction applies; nil means all rooms.
  public let room: String?
  /// Time at which the restriction ends: milliseconds since 1970, UTC. Nil means never.
  public let until: Int64?
  /// The reason, which the client gets.
  public let reason: String?
  /// Name that the target had; nil if it is unknown.
  public let name: String?
  /// Name of the member or program that made the restriction.
  public let by: String
  /// Whether a client with the right ``Rights/moderate`` made the restriction. Such a restriction does not apply to
  /// other clients with this right. Restrictions that the program makes apply to all clients.
  public let isByModerator: Bool

  /// - Parameter room: in NFC.
  init(
    _ kind: Kind, _ target: Target, in room: String?, until: Int64?, reason: String?, name: String?, by: String,
    isByModerator: Bool
  ) {
    (self.kind, self.target, self.room, self.until) = (kind, target, room, until)
    (self.reason, self.name, self.by, self.isByModerator) = (reason, name, by, isByModerator)
    id = Restriction.id(kind, target, room)
  }

  package static func id(_ kind: Kind, _ target: Target, _ room: String?) -> String {
    let text =
      switch target {
      case .user(let id): "user\n\(id)"
      case .guest(let guest, _): "guest\n\(guest.text)"
      case .network(let network): "network\n\(network)"
      }
    let digest = sha256(Array("\(kind.rawValue)\n\(room ?? "")\n\(text)".utf8))
    return digest.prefix(16).reduce(into: "") { $0 += $1 < 16 ? "0" + String($1, radix: 16) : String($1, radix: 16) }
  }

  /// Returns whether the restriction is in effect.
  ///
  /// - Parameter now: milliseconds since 1970.
  func isActive(at now: Int64) -> Bool { until.map { $0 > now } ?? true }

  /// Returns whether the restriction applies to a client in the room.
  func applies(to client: ModeratedClient, in room: String) -> Bool {
    guard self.room.map({ $0.isSame(as: room) }) ?? true, !(isByModerator && client.isModerator) else { return false }
    switch target {
    case .user(let id): return client.user.map { $0.isSame(as: id) } ?? false
    case .guest(let guest, let network):
      return client.guest == guest || client.isGuest && network.map { client.isIn($0) } ?? false
    case .network(let network): return client.isIn(network)
    }
  }
}

/// Public identifier of a guest's session. It is the same in all rooms.
public struct GuestID: Sendable, Hashable {
  private let number: UInt64

  init(session: String) {
    number = sha256(Array("guest\n\(session)".utf8)).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// Parses the form of ``text``; nil if it is malformed.
  public init?(_ text: String) {
    guard text.utf8.count == 16, let number = UInt64(hexadecimal: text[...]) else { return nil }
    self.number = number
  }

  /// 16 hexadecimal digits.
  public var text: String { number.hexadecimal }
}

/// The properties of a client that restrictions refer to.
struct ModeratedClient {
  /// ``Identity/id``; nil without an admission.
  var user: String?
  var isGuest = true
  var isModerator = false
  /// Nil before the welcome, and for clients of the plain protocol.
  var guest: GuestID?
  /// Nil if the client has no address.
  var address: AddressRange?

  init(_ client: AdmittedClient?, _ guest: GuestID?, at address: AddressRange?) {
    (user, isGuest) = (client?.identity.id, client?.identity.isGuest ?? true)
    isModerator = client?.rights.contains(.moderate) ?? false
    (self.guest, self.address) = (guest, address)
  }

  func isIn(_ network: Network) -> Bool { address.map { network.range.contains($0) } ?? false }

  /// The target for a restriction of this client: its user, or its session and its own network.
  var target: Restriction.Target? {
    if !isGuest, let user { return .user(user) }
    return guest.map { .guest($0, network: address.map { Network(ofClientAt: $0) }) }
  }
}

/// A change of the restrictions.
public enum RestrictionChange: Sendable, Hashable {
  /// A restriction is made, or replaces the one with the same id.
  case set(Restriction)
  /// The restriction with this id is lifted.
  case lift(id: String)

  /// Identifier of the restriction.
  public var id: String {
    switch self {
    case .set(let restriction): restriction.id
    case .lift(let id): id
    }
  }
}
