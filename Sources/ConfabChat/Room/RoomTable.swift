/// The rooms of a chat, by name. One that has been left may be kept, until its place is needed.
struct RoomTable<Room> {
  private struct Entry {
    let room: Room
    var people = 0
    /// When it was left, as a number that rises; nil while somebody is in it.
    var vacantSince: Int?
  }

  struct Vacancy {
    let name: String
    let since: Int
    let at: ContinuousClock.Instant
  }

  private var entries: [String: Entry] = [:]
  /// Those that have been left, in this order, and some that have been entered again since.
  private(set) var vacancies: ArraySlice<Vacancy> = []
  private var vacantCount = 0
  private var departures = 0

  var count: Int { entries.count }

  /// How many people are in the rooms that somebody is in.
  var occupancy: [String: Int] { entries.filter { $0.value.people > 0 }.mapValues(\.people) }

  /// Whether a room is there, or a place for it among `limit`.
  func hasPlace(for name: String, limit: Int) -> Bool {
    limit == 0 || count < limit || vacantCount > 0 || entries[name] != nil
  }

  var hasVacancy: Bool { vacantCount > 0 }

  /// Gives up a room, if the one of this name needs its place.
  mutating func makePlace(for name: String, limit: Int) -> Room? {
    limit > 0 && count >= limit && entries[name] == nil ? removeVacant() : nil
  }

  /// Counts somebody in.
  mutating func enter(_ name: String, make: () -> Room) -> Room {
    if entries[name] == nil { entries[name] = Entry(room: make()) }
    if entries[name]?.vacantSince != nil { vacantCount -= 1 }
    entries[name]?.vacantSince = nil
    entries[name]?.people += 1
    guard let room = entries[name]?.room else { preconditionFailure("room \(name) is there") }
    return room
  }

  /// Counts somebody out. A room that nobody is in any more stays if it `isKept`; one that doesn't is returned.
  @discardableResult
  mutating func leave(_ name: String, isKept: (Room) -> Bool) -> Room? {
    guard var entry = entries[name] else { return nil }
    entry.people -= 1
    if entry.people == 0 {
      guard isKept(entry.room) else {
        entries[name] = nil
        return entry.room
      }
      departures += 1
      entry.vacantSince = departures
      vacantCount += 1
      vacancies.append(Vacancy(name: name, since: departures, at: .now))
    }
    entries[name] = entry
    if vacancies.count > 2 * vacantCount + 16 { vacancies = vacancies.filter(isVacant)[...] }
    return nil
  }

  /// Gives up the room that was left longest ago, if that was before `time`; nil if there is none such.
  mutating func removeVacant(leftBefore time: ContinuousClock.Instant? = nil) -> Room? {
    while let first = vacancies.first {
      guard let entry = entries[first.name], isVacant(first) else {
        vacancies.removeFirst()
        continue
      }
      if let time, first.at >= time { return nil }
      vacancies.removeFirst()
      entries[first.name] = nil
      vacantCount -= 1
      return entry.room
    }
    return nil
  }

  private func isVacant(_ vacancy: Vacancy) -> Bool { entries[vacancy.name]?.vacantSince == vacancy.since }
}
