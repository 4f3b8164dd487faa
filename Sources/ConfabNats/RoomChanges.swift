internal import ConfabChat

/// The changed messages of a room, as its entries are read. Finds the entries whose content a later change has removed
/// or replaced.
struct RoomChanges {
  private struct Change {
    let offset: Int
    let isRemoval: Bool
  }

  /// The newest change of each changed message, for at most twice the limit of a room's messages.
  private var newest: [Int: Change] = [:]

  /// Adds an entry.
  ///
  /// - Parameter limit: maximum number of entries in the room.
  /// - Returns: the offsets of the entries whose content is to be deleted.
  mutating func add(_ publication: Publication, limit: Int) -> [Int] {
    guard let target = publication.draft.entry.target else { return [] }
    let offset = publication.position.offset
    let isRemoval = publication.draft.entry == .removal(of: target)
    let earlier = newest[target]
    // The edit was sent before its sender knew of the removal.
    if earlier?.isRemoval == true { return isRemoval ? [] : [offset] }
    newest[target] = Change(offset: offset, isRemoval: isRemoval)
    if newest.count > 2 * max(limit, 1) { forget(limit) }
    return (isRemoval ? [target] : []) + (earlier.map { [$0.offset] } ?? [])
  }

  /// Forgets all but the newest changes.
  private mutating func forget(_ limit: Int) {
    let offsets = newest.values.map(\.offset).sorted()
    let first = offsets[offsets.count - max(limit, 1)]
    newest = newest.filter { $0.value.offset >= first }
  }
}

extension Publication {
  /// Returns whether this entry erases the content of the entry at `offset`. `target` is the message that the latter
  /// changes; nil if it is a message.
  func erases(_ offset: Int, target: Int?) -> Bool {
    draft.entry == .removal(of: offset) || target != nil && draft.entry.target == target
  }
}
