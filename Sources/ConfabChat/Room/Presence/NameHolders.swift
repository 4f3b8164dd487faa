internal import Confab

/// The members on this server by name. Several members have one name if they are connections of one verified user.
struct NameHolders {
  /// One member for each name key.
  private var first: [String: Member] = [:]
  /// The other members with the name of a verified user.
  private var others: [String: [Member]] = [:]

  /// Whether some names have several members.
  var areShared: Bool { !others.isEmpty }

  /// One member for each name.
  var unique: some Collection<Member> { first.values }

  /// Returns one of the members that have the name with this key.
  subscript(key: String) -> Member? { first[key] }

  /// Returns all members that have the name with this key.
  func all(_ key: String) -> [Member] { (first[key].map { [$0] } ?? []) + (others[key] ?? []) }

  mutating func add(_ member: Member, _ key: String) {
    guard let holder = first.updateValue(member, forKey: key), holder != member else { return }
    others[key, default: []].append(holder)
  }

  mutating func remove(_ member: Member, _ key: String) {
    var rest = others[key] ?? []
    if first[key] == member { first[key] = rest.popLast() } else { rest.removeAll { $0 == member } }
    if !others.isEmpty { others[key] = rest.isEmpty ? nil : rest }
  }
}

/// The users that own verified names.
enum NameOwner {
  /// Returns whether the user `owner`, who has verified a name, may take it from a member with the owner `other`. This
  /// is allowed if both are the same user, or if the other member has not verified the name.
  static func mayTake(from other: String?, _ owner: String?) -> Bool {
    owner != nil && isFree(of: other, for: owner)
  }

  /// Returns whether `other` is nil or `owner`. Compares bytes: Swift's `==` ignores differences of normalization
  /// forms.
  static func isFree(of other: String?, for owner: String?) -> Bool {
    guard let other else { return true }
    return owner.map { other.isSame(as: $0) } ?? false
  }
}
