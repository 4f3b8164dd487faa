internal import Confab

/// The properties of a member that restrictions refer to. Servers report them to each other.
struct MemberAccount: Sendable, Equatable, Codable {
  /// ``Identity/id``; nil for a guest.
  private(set) var user: String?
  /// The network of the address of a guest, see ``Network``.
  private(set) var network: String?
  /// Whether the client has the right ``Rights/moderate``.
  private(set) var moderates: Bool?

  /// Creates the account of a guest without an address.
  init() {}

  init(_ client: AdmittedClient?, at address: AddressRange?) {
    if let identity = client?.identity, !identity.isGuest {
      user = identity.id
    } else {
      network = address.map { Network(ofClientAt: $0).description }
    }
    moderates = client?.rights.contains(.moderate) == true ? true : nil
  }
}

/// Identification of a member by another client.
enum MemberQuery {
  case name(Name)
  case member(Member)
}

/// A member that is in a room.
struct FoundMember {
  let name: Name
  let guest: GuestID
  let account: MemberAccount

  var isModerator: Bool { account.moderates == true }

  /// The target of restrictions of this member.
  var target: Restriction.Target {
    if let user = account.user, 1...Identity.maxIDLength ~= user.utf8.count { return .user(user) }
    return .guest(guest, network: account.network.flatMap { try? Network($0) })
  }
}
