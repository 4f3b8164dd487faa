/// The members of a room on one of the servers that share it.
public struct ServerPresence: Sendable, Equatable, Codable {
  /// Maximum number of ``members``. Further members are only counted.
  public static let maxMembers = 1000

  /// The members of the rich protocol.
  public let members: [MemberPresence]
  /// Number of all members, including those of the plain protocol.
  public let count: Int

  /// An empty room.
  public static let none = ServerPresence(members: [], count: 0)

  init(members: [MemberPresence], count: Int) { (self.members, self.count) = (members, count) }

  // // Names in the JSON that servers exchange.
  private enum CodingKeys: String, CodingKey {
    case members = "people"
    case count
  }
}

/// A member with a name, as its server reports it.
public struct MemberPresence: Sendable, Equatable, Codable {
  /// The name.
  public let name: String
  /// Secret that proves to any server that a client is this member. Only servers may see it.
  public let session: String
  /// Number that rises with each connection of the member. The server with the highest number has the newest
  /// connection.
  public let connectionNumber: Int
  /// ``Identity/id`` of the user with this verified name; nil if the name is not verified. Only servers may see it.
  public let owner: String?
  /// The user, or the network of a guest, for restrictions; nil if an older server has reported the member. Only
  /// servers may see it.
  let account: MemberAccount?

  init(
    _ name: Name, _ session: Session, connectionNumber: Int, owner: String? = nil, account: MemberAccount? = nil
  ) {
    (self.name, self.session, self.connectionNumber) = (name.text, session.text, connectionNumber)
    (self.owner, self.account) = (owner, account)
  }

  // // Names in the JSON that servers exchange.
  private enum CodingKeys: String, CodingKey {
    case name, session, owner, account
    case connectionNumber = "visits"
  }
}
