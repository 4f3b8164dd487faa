import Confab
import FoundationEssentials
import Synchronization

@testable import ConfabChat

/// A model of `Room` for the engine, without connections.
final class ModelRoom: RoomSink, @unchecked Sendable {
  // @unchecked: the simulation has one thread.

  let name: String
  private unowned let world: World
  private var order: (any RoomOrder)?
  /// Messages sent before the room opened, nil once it is open.
  private var unopened: [Post]? = []
  private(set) var epoch = ""
  private(set) var history = History(maxMessages: 100_000, maxBytes: 1 << 30)

  init(_ name: String, _ world: World, _ engine: any Engine) {
    (self.name, self.world) = (name, world)
    order = engine.open(name, self)
  }

  var isOpen: Bool { unopened == nil }

  func say(_ text: String) {
    let post = Post(
      kind: .text, bytes: Array(text.utf8), name: "Ann", member: Member(number: 1), tag: text.filter(\.isNumber))
    if unopened != nil { unopened?.append(post) } else { place(post) }
  }

  private func place(_ post: Post) {
    if let place = order?.place({ post }, from: nil) { deliver(PlacedPost(post, at: place)) }
  }

  func close() {
    let posts = unopened ?? []
    if unopened != nil { unopened = [] }
    for post in posts { _ = order?.place({ post }, from: nil) }
    order?.close()
  }

  func opened(_ kept: Kept) {
    if world.isDead { return }
    epoch = kept.epoch
    history = History(maxMessages: 100_000, maxBytes: 1 << 30)
    history.restore(kept)
    world.opened(self, kept)
    let posts = unopened ?? []
    unopened = nil
    for post in posts { place(post) }
  }

  func refused(_ posts: [Post]) {}

  func renumbered(_ epoch: String) {
    if world.isDead { return }
    self.epoch = epoch
    world.renumbered(self)
  }

  func placed(_ posts: [PlacedPost]) {
    if world.isDead { return }
    for placed in posts { deliver(placed) }
  }

  private func deliver(_ placed: PlacedPost) {
    world.require(placed.place.id > history.last, "\(name): \(placed.place.id) after \(history.last)")
    history.append(MessageEvent(placed).json, member: placed.post.member, tag: placed.post.tag, at: placed.place)
    world.delivered(self, placed)
  }

  /// Returns what a client gets when it resumes, nil if it gets a gap.
  func missed(_ epoch: String, after: Int) -> [Int: String]? {
    guard epoch == self.epoch, after <= history.last, history.isWhole(after: after) else { return nil }
    var (found, last) = ([Int: String](), after)
    while true {
      let page = history.page(after: last, count: 100)
      for message in page.messages.compactMap({ try? JSONDecoder().decode(ReadMessage.self, from: Data($0)) }) {
        found[message.id] = message.text
        last = message.id
      }
      if !page.more { return found }
    }
  }

  private struct ReadMessage: Decodable {
    let id: Int
    let text: String
  }

  func availabilityChanged(_ isAvailable: Bool) {}
  func attendance(unless version: Int) -> (attendance: Attendance, version: Int)? { nil }
  func attended(_ server: String, _ attendance: Attendance) {}
  func typed(_ name: String) {}
}
