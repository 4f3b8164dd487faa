/// Who has come, gone, or changed the name since the room was told last: what is told then is how things are, so who
/// comes and goes meanwhile is not told of as having come.
///
/// A name is in one list of an event only, and what it says is true whatever a client has heard before: one who has just
/// been welcomed may hear of people that it knows of.
struct Presence {
  /// The most names in one list of an event. The rest goes with the next one.
  static let maxNames = 50
  /// Maximum number of names that wait to be told. Of more than these, only the count of everyone is told.
  static let maxWaiting = 1000

  private enum Change {
    /// Somebody of the name has come, or has gone.
    case membership
    case renamedTo(Name)
    /// The other side of it.
    case renamedFrom(Name)
  }
  private var changes: [Name: Change] = [:]
  /// Whether somebody without a name has come or gone.
  private var isCountChanged = false

  /// Whether there is something to tell.
  var hasNews: Bool { isCountChanged || !changes.isEmpty }

  mutating func countChanged() { isCountChanged = true }

  /// Whether `count` more names may wait. Otherwise the count is told.
  private mutating func hasRoom(for count: Int) -> Bool {
    guard changes.count + count > Presence.maxWaiting else { return true }
    isCountChanged = true
    return false
  }

  /// Somebody of the name has come or gone.
  mutating func changed(_ name: Name) {
    guard changes[name] != nil || hasRoom(for: 1) else { return }
    // Who has been renamed before has come and gone then.
    switch changes[name] {
    case .renamedTo(let other), .renamedFrom(let other): changes[other] = .membership
    case .membership, nil: break
    }
    changes[name] = .membership
  }

  mutating func renamed(_ old: Name, to new: Name) {
    if changes[old] == nil && changes[new] == nil {
      guard hasRoom(for: 2) else { return }
      changes[old] = .renamedTo(new)
      changes[new] = .renamedFrom(old)
    } else {
      changed(old)
      changed(new)
    }
  }

  /// What is to be told now.
  ///
  /// - Parameter isPresent: whether somebody of the name is in the room.
  mutating func take(count: Int, isPresent: (Name) -> Bool) -> PresenceEvent {
    var event = PresenceEvent(count: count)
    isCountChanged = false
    for (name, change) in changes {
      switch change {
      case .membership where isPresent(name) && event.joined.count < Presence.maxNames: event.joined.append(name.text)
      case .membership where !isPresent(name) && event.left.count < Presence.maxNames: event.left.append(name.text)
      case .renamedTo(let new) where event.renamed.count < Presence.maxNames:
        event.renamed.append([name.text, new.text])
        changes[new] = nil
      default: continue
      }
      changes[name] = nil
    }
    return event
  }
}
