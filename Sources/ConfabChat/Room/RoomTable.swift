internal import Confab
internal import DequeModule

/// The rooms of a chat, by the bytes of their names. A vacant room may stay until the limit is needed for another room.
struct RoomTable<Room> {
  private struct Slot {
    let room: Room
    var references = 0
    /// Number of the release that made the room vacant; nil while the room is occupied.
    var vacantSince: Int?
  }

  struct Vacancy {
    let name: ByteKey
    let since: Int
    let at: ContinuousClock.Instant
  }

  private var slots: [ByteKey: Slot] = [:]
  /// Vacant rooms, in the order of their last releases. Some of them may have been entered again since.
  private(set) var vacancies: Deque<Vacancy> = []
  private var vacantCount = 0
  private var releases = 0

  var count: Int { slots.count }
  var rooms: [Room] { slots.values.map(\.room) }

  func room(_ name: String) -> Room? { slots[ByteKey(name)]?.room }

  /// Occupied rooms, with their number of references.
  var occupancy: [String: Int] {
    let occupied = slots.lazy.filter { $0.value.references > 0 }.map { ($0.key.text, $0.value.references) }
    return Dictionary(occupied, uniquingKeysWith: +)
  }

  /// Returns whether the room exists, or fits within `limit`.
  ///
  /// - Parameter reserved: number of rooms within the limit that are for others.
  func hasCapacity(for name: String, limit: Int, reserved: Int = 0) -> Bool {
    limit == 0 || count - vacantCount < limit - reserved || slots[ByteKey(name)] != nil
  }

  var hasVacancy: Bool { vacantCount > 0 }

  /// Removes and returns a vacant room, if opening the room `name` would exceed the limit.
  mutating func evict(for name: String, limit: Int) -> Room? {
    limit > 0 && count >= limit && slots[ByteKey(name)] == nil ? removeVacant() : nil
  }

  /// Counts a reference.
  mutating func enter(_ name: String, make: () -> Room) -> Room {
    let key = ByteKey(name)
    if slots[key] == nil { slots[key] = Slot(room: make()) }
    if slots[key]?.vacantSince != nil { vacantCount -= 1 }
    slots[key]?.vacantSince = nil
    slots[key]?.references += 1
    guard let room = slots[key]?.room else { preconditionFailure("room \(name) is there") }
    return room
  }

  /// Releases a reference. If the room has no references left and `stays` returns false, removes and returns the room.
  @discardableResult
  mutating func leave(_ name: String, stays: (Room) -> Bool) -> Room? {
    let key = ByteKey(name)
    guard var slot = slots[key] else { return nil }
    slot.references -= 1
    if slot.references == 0 {
      guard stays(slot.room) else {
        slots[key] = nil
        return slot.room
      }
      releases += 1
      slot.vacantSince = releases
      vacantCount += 1
      vacancies.append(Vacancy(name: key, since: releases, at: .now))
    }
    slots[key] = slot
    if vacancies.count > 2 * vacantCount + 16 { vacancies = Deque(vacancies.filter(isVacant)) }
    return nil
  }

  /// Removes and returns the room that has been vacant longest; nil if no room became vacant before `time`.
  mutating func removeVacant(vacantBefore time: ContinuousClock.Instant? = nil) -> Room? {
    while let first = vacancies.first {
      guard let slot = slots[first.name], isVacant(first) else {
        vacancies.removeFirst()
        continue
      }
      if let time, first.at >= time { return nil }
      vacancies.removeFirst()
      slots[first.name] = nil
      vacantCount -= 1
      return slot.room
    }
    return nil
  }

  private func isVacant(_ vacancy: Vacancy) -> Bool { slots[vacancy.name]?.vacantSince == vacancy.since }
}
