import Confab
import FoundationEssentials
import Synchronization

@testable import ConfabChat

/// A model of `ChatRoom` for the engine, without connections.
final class ModelRoom: RoomDelegate, @unchecked Sendable {
  // @unchecked: the simulation has one thread.

  let name: String
  private unowned let world: World
  private var engineRoom: (any EngineRoom)?
  /// Messages sent before the room opened, nil once it is open.
  private var unopened: [Draft]? = []
  private(set) var epoch = ""
  private(set) var history = History(maxMessages: 100_000, maxBytes: 1 << 30)

  init(_ name: String, _ world: World, _ engine: any Engine) {
    (self.name, self.world) = (name, world)
    engineRoom = engine.open(name, self)
  }

  var isOpen: Bool { unopened == nil }

  func say(_ text: String) {
    send(
      Draft(kind: .text, bytes: Array(text.utf8), name: "Ann", member: Member(number: 1), tag: text.filter(\.isNumber)))
  }

  /// Edits a message, or removes it if the text is nil.
  func change(_ id: Int, to text: String?) {
    send(
      Draft(
        text == nil ? .removal(of: id) : .edit(of: id), kind: .text, bytes: Array((text ?? "").utf8), name: "Ann",
        member: Member(number: 1)))
  }

  /// Messages that can be changed.
  var changeable: [Int] {
    guard isOpen, history.oldestOffset <= history.lastOffset else { return [] }
    return (history.oldestOffset...history.lastOffset).suffix(20).filter { id in
      history.author(at: id) != nil
    }
  }

  private func send(_ draft: Draft) {
    if unopened != nil { unopened?.append(draft) } else { publish(draft) }
  }

  private func publish(_ draft: Draft) {
    if let position = engineRoom?.publish({ draft }, nil) { deliver(Publication(draft, at: position)) }
  }

  func close() {
    let drafts = unopened ?? []
    if unopened != nil { unopened = [] }
    for draft in drafts { _ = engineRoom?.publish({ draft }, nil) }
    engineRoom?.close()
  }

  func opened(_ snapshot: RoomSnapshot) {
    if world.isDead { return }
    epoch = snapshot.epoch
    history = History(maxMessages: 100_000, maxBytes: 1 << 30)
    history.restore(snapshot)
    world.opened(self, snapshot)
    let drafts = unopened ?? []
    unopened = nil
    for draft in drafts { publish(draft) }
  }

  func rejected(_ drafts: [Draft]) {}

  func epochChanged(_ epoch: String) {
    if world.isDead { return }
    self.epoch = epoch
    world.renumbered(self)
  }

  func published(_ publications: [Publication]) {
    if world.isDead { return }
    for publication in publications { deliver(publication) }
  }

  private func deliver(_ publication: Publication) {
    world.require(
      publication.position.offset > history.lastOffset,
      "\(name): \(publication.position.offset) after \(history.lastOffset)")
    if publication.draft.entry.target != nil {
      history.append(change: publication)
    } else {
      history.append(
        MessageEvent(publication).json, member: publication.draft.member, tag: publication.draft.tag,
        at: publication.position)
    }
    world.delivered(self, publication)
  }

  /// Returns what a client gets when it resumes, nil if it gets a gap.
  func missed(_ epoch: String, after: Int) -> [Int: String]? {
    guard epoch == self.epoch, after <= history.lastOffset, history.isWhole(after: after) else { return nil }
    var (found, last) = ([Int: String](), after)
    while true {
      let page = history.page(after: last, count: 100)
      for message in page.messages.compactMap({ try? JSONDecoder().decode(ReadMessage.self, from: Data($0)) }) {
        found[message.id] = message.text ?? ""
        last = message.id
      }
      if !page.more { return found }
    }
  }

  private struct ReadMessage: Decodable {
    let id: Int
    /// Nil for removals and superseded edits.
    let text: String?
  }

  func availabilityChanged(_ isAvailable: Bool) {}
  func presence(unless version: Int) -> (presence: ServerPresence, version: Int)? { nil }
  func presenceChanged(on server: String, to presence: ServerPresence) {}
  func typed(_ name: String) {}
}
