internal import Confab
internal import ConfabChat

// The mutes, bans and kicks of the chat. They are few, so their statements are not kept.

extension HistoryDatabase {
  /// Reads all restrictions. Throws if a restriction cannot be read, because it must stay in effect.
  func readRestrictions() throws(DatabaseError) -> [Restriction] {
    var restrictions: [Restriction] = []
    var unreadable: [String] = []
    try database.prepare("SELECT id, restriction FROM restrictions").rows { row in
      let id = row.text(0) ?? ""
      if let restriction = Restriction(json: row.bytes(1)), restriction.id.isSame(as: id) {
        restrictions.append(restriction)
      } else {
        unreadable.append(id)
      }
    }
    guard let id = unreadable.first else { return restrictions }
    let others = unreadable.count > 1 ? " and \(unreadable.count - 1) others" : ""
    throw DatabaseError(
      "the mute or ban with the id '\(id.withoutControls)'\(others) in the table restrictions cannot be read: correct or delete it"
    )
  }

  /// Writes changes in one transaction, and deletes restrictions that have ended.
  func write(_ changes: some Collection<RestrictionChange>) throws(DatabaseError) {
    let set = try database.prepare("INSERT OR REPLACE INTO restrictions VALUES (?, ?, ?)")
    let lift = try database.prepare("DELETE FROM restrictions WHERE id = ?")
    try database.transaction { () throws(DatabaseError) in
      for change in changes {
        switch change {
        case .set(let restriction):
          let json = String(decoding: restriction.json, as: UTF8.self)
          try set.run(.text(restriction.id), .number(restriction.until.map { Int($0) }), .text(json))
        case .lift(let id): try lift.run(.text(id))
        }
      }
      try database.run("DELETE FROM restrictions WHERE until <= \(WallClock.milliseconds)")
    }
  }
}
