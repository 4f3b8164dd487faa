/// Joins, leaves and renames since the last presence event. An event reports the state at the time it is sent, so a
/// member that has joined and left in between is not reported as joined.
///
/// A name is in at most one list of an event. A client that was just welcomed may get names that it already knows.
struct PresenceChanges {
  /// Maximum number of names in one list of an event. The rest follows in the next event.
  static let maxNames = 50
  /// Maximum number of pending names. Further changes are reported only by the total count.
  static let maxPending = 1000

  private enum NameChange {
    /// A member with the name has joined or left.
    case membership
    case renamedTo(Name)
    /// Entry of the new name in a rename.
    case renamedFrom(Name)
  }
  private var changes: [Name: NameChange] = [:]
  /// Whether a member without a name has joined or left.
  private var isCountChanged = false

  /// Whether an event is pending.
  var hasChanges: Bool { isCountChanged || !changes.isEmpty }

  mutating func countChanged() { isCountChanged = true }

  /// Returns whether `count` more names may be pending. If not, marks the total count as changed.
  private mutating func hasCapacity(for count: Int) -> Bool {
    guard changes.count + count > PresenceChanges.maxPending else { return true }
    isCountChanged = true
    return false
  }

  /// Records that a member with the name has joined or left.
  mutating func changed(_ name: Name) {
    guard changes[name] != nil || hasCapacity(for: 1) else { return }
    // A second change splits an earlier rename into a leave and a join.
    switch changes[name] {
    case .renamedTo(let other), .renamedFrom(let other): changes[other] = .membership
    case .membership, nil: break
    }
    changes[name] = .membership
  }

  mutating func renamed(_ old: Name, to new: Name) {
    if changes[old] == nil && changes[new] == nil {
      guard hasCapacity(for: 2) else { return }
      changes[old] = .renamedTo(new)
      changes[new] = .renamedFrom(old)
    } else {
      changed(old)
      changed(new)
    }
  }

  /// Returns the event to send now.
  ///
  /// - Parameter isPresent: whether a member with the name is in the room.
  mutating func take(count: Int, isPresent: (Name) -> Bool) -> PresenceEvent {
    var event = PresenceEvent(count: count)
    isCountChanged = false
    for (name, change) in changes {
      switch change {
      case .membership where isPresent(name) && event.joined.count < PresenceChanges.maxNames:
        event.joined.append(name.text)
      case .membership where !isPresent(name) && event.left.count < PresenceChanges.maxNames:
        event.left.append(name.text)
      case .renamedTo(let new) where event.renamed.count < PresenceChanges.maxNames:
        event.renamed.append([name.text, new.text])
        changes[new] = nil
      default: continue
      }
      changes[name] = nil
    }
    return event
  }
}
