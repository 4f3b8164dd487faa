import Confab

@testable import ConfabChat

/// The guarantees of `Protocol.md`: an id of an epoch belongs to one message for ever; ids rise; a client that resumes
/// gets everything delivered since or a gap; messages that no fault affects are kept.
final class Guarantees {
  private struct Numbering: Hashable {
    let room, epoch: String

    init(_ room: ModelRoom, _ epoch: String? = nil) { (self.room, self.epoch) = (room.name, epoch ?? room.epoch) }
  }

  private struct ResumePoint: Hashable {
    let epoch: String
    let after: Int
  }

  /// Every message that a room has had, by epoch and id.
  private var seen: [Numbering: [Int: String]] = [:]
  /// Changes of each message, by epoch.
  private var changes: [Numbering: [Int: Set<Int>]] = [:]
  /// Messages that were delivered when they were sent, by epoch and id.
  private var said: [Numbering: [Int: String]] = [:]
  /// The positions of clients that have left.
  private var known: [String: Set<ResumePoint>] = [:]
  /// The epoch that each room must still have, with all of its messages as clients have them.
  private var expected: [String: (epoch: String, texts: [Int: String])] = [:]
  /// The first violation.
  private(set) var problem: String?

  func require(_ condition: Bool, _ text: @autoclosure () -> String) {
    if !condition && problem == nil { problem = text() }
  }

  // MARK: Expectations

  /// Expects that the closed room has the same messages when it is opened again, if all of them are written.
  func expect(_ room: ModelRoom, isWritten: Bool) {
    let texts = room.missed(room.epoch, after: room.history.oldestOffset - 1) ?? [:]
    let own = said[Numbering(room)].map { said in texts.filter { said[$0.key] != nil } }
    expected[room.name] = own.flatMap { isWritten ? (room.epoch, $0) : nil }
    leave(room, at: room.history.lastOffset)
  }

  func expectNothing(of name: String) { expected[name] = nil }

  func expectNothing() { expected = [:] }

  /// A client leaves, which has received everything up to that offset.
  func leave(_ room: ModelRoom, at offset: Int) {
    known[room.name, default: []].insert(ResumePoint(epoch: room.epoch, after: offset))
  }

  // MARK: Events of rooms

  /// If the room is hurt, a fault has affected its messages.
  func opened(_ room: ModelRoom, _ snapshot: RoomSnapshot, isHurt: Bool) {
    for publication in snapshot.publications { noteChange(room, publication) }
    for publication in snapshot.publications { see(room, publication) }
    guard let (epoch, texts) = expected.removeValue(forKey: room.name), !isHurt else { return }
    require(epoch == snapshot.epoch, "\(room.name) was \(epoch), is \(snapshot.epoch)")
    let now = room.missed(epoch, after: room.history.oldestOffset - 1) ?? [:]
    // Changes that waited when the room was closed have been made since.
    let newest = texts.keys.max() ?? 0
    let later = Set(snapshot.publications.filter { $0.position.offset > newest }.compactMap(\.draft.entry.target))
    let changed = snapshot.publications.filter { $0.draft.entry.target.map(later.contains) ?? false }
      .map(\.position.offset)
    for (id, text) in texts where !later.contains(id) && !changed.contains(id) {
      require(now[id] == text, "\(room.name) \(id) was \(text), is \(now[id] ?? "gone")")
    }
    let ids = Set(snapshot.publications.map(\.position.offset))
    let lost = (said[Numbering(room, epoch)] ?? [:]).keys.filter { !ids.contains($0) }
    require(lost.isEmpty, "\(room.name) has lost \(lost.sorted())")
  }

  func renumbered(_ room: ModelRoom) {
    for (id, text) in room.missed(room.epoch, after: room.history.oldestOffset - 1) ?? [:] { see(room, id, text) }
  }

  func delivered(_ room: ModelRoom, _ publication: Publication) {
    noteChange(room, publication)
    see(room, publication)
    said[Numbering(room), default: [:]][publication.position.offset] = String(
      decoding: publication.draft.bytes, as: UTF8.self)
  }

  private func noteChange(_ room: ModelRoom, _ publication: Publication) {
    guard let target = publication.draft.entry.target else { return }
    changes[Numbering(room), default: [:]][target, default: []].insert(publication.position.offset)
  }

  /// Whether a change may have removed or replaced the text of an entry.
  private func isChanged(_ id: Int, _ numbering: Numbering) -> Bool {
    let changes = changes[numbering] ?? [:]
    return changes[id] != nil || changes.values.contains { $0.count > 1 && $0.contains(id) }
  }

  private func see(_ room: ModelRoom, _ publication: Publication) {
    see(room, publication.position.offset, String(decoding: publication.draft.bytes, as: UTF8.self))
  }

  private func see(_ room: ModelRoom, _ id: Int, _ text: String) {
    let before = seen[Numbering(room), default: [:]].updateValue(text, forKey: id)
    require(
      before == nil || before == text || isChanged(id, Numbering(room)),
      "\(room.name) \(room.epoch) \(id) was \(before ?? ""), is \(text)")
  }

  /// Resumes every client that has left, and compares what it gets.
  func check(_ room: ModelRoom) {
    for position in known[room.name] ?? [] {
      guard let missed = room.missed(position.epoch, after: position.after) else { continue }
      let numbering = Numbering(room, position.epoch)
      for (id, text) in seen[numbering] ?? [:] where id > position.after {
        require(
          isChanged(id, numbering) ? missed[id] != nil : missed[id] == text,
          "\(room.name) \(position.epoch) after \(position.after): no \(id), \(text)")
      }
    }
  }
}
