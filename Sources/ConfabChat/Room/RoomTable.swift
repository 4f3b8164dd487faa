/// The rooms of a chat, by name. A vacant room may stay until its place is needed.
struct RoomTable<Room> {
  private struct Entry {
    let room: Room
    var people = 0
    /// Rising number of its last departure; nil while the room is occupied.
    var vacantSince: Int?
  }

  struct Vacancy {
    let name: String
    let since: Int
    let at: ContinuousClock.Instant
  }

  private var entries: [String: Entry] = [:]
  /// Vacant rooms in the order of their departures, and some that have been entered again since.
  private(set) var vacancies: ArraySlice<Vacancy> = []
  private var vacantCount = 0
  private var departures = 0

  var count: Int { entries.count }

  /// Occupied rooms, with their number of visits.
  var occupancy: [String: Int] { entries.filter { $0.value.people > 0 }.mapValues(\.people) }

  /// Whether the room exists, or fits within `limit`.
  func hasPlace(for name: String, limit: Int) -> Bool {
    limit == 0 || count < limit || vacantCount > 0 || entries[name] != nil
  }

  var hasVacancy: Bool { vacantCount > 0 }

  /// Removes a vacant room, if the one of this name needs its place.
  mutating func makePlace(for name: String, limit: Int) -> Room? {
    limit > 0 && count >= limit && entries[name] == nil ? removeVacant() : nil
  }

  /// Adds a visit.
  mutating func enter(_ name: String, make: () -> Room) -> Room {
    if entries[name] == nil { entries[name] = Entry(room: make()) }
    if entries[name]?.vacantSince != nil { vacantCount -= 1 }
    entries[name]?.vacantSince = nil
    entries[name]?.people += 1
    guard let room = entries[name]?.room else { preconditionFailure("room \(name) is there") }
    return room
  }

  /// Removes a visit. A room without visits stays if it `isKept`, and is returned otherwise.
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

  /// Removes the room that has been vacant longest, if it was left before `time`; nil if there is none.
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
