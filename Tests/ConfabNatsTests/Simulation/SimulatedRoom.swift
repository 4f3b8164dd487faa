@testable import ConfabChat
@testable import ConfabNats

/// A room of a server: compares what it is told with what the stream has.
final class SimulatedRoom: RoomSink, @unchecked Sendable {
  // @unchecked: a simulation has one thread.
  let world: World
  unowned let server: SimulatedServer
  let name: String
  let number: Int
  var isClosed = false
  private(set) var epoch: String?
  private(set) var last = 0
  /// How many of the stream's messages it has heard of.
  private var count = 0
  private(set) var isAvailable = false
  /// How many people are here, as other servers are to know, and the version of that.
  var people = 0
  var version = 0
  private(set) var others: [String: Int] = [:]

  init(_ world: World, _ server: SimulatedServer, _ name: String, _ number: Int) {
    (self.world, self.server, self.name, self.number) = (world, server, name, number)
  }

  private var subject: String { "confab.room." + name }
  private var label: String { "\(server.name)'s \(name)" }

  var isOpen: Bool { epoch != nil }
  /// Whether it has heard all there is.
  var isUpToDate: Bool { epoch.map { world.broker.messages(of: subject, $0).last?.number ?? 0 } == last }
  var isOfNewestStream: Bool {
    epoch.map { $0.prefix { $0 != " " } } == world.broker.streams.last.map { $0.created[...] }
  }

  func opened(_ kept: Kept) {
    world.trace("\(label) is opened, of \(kept.epoch), up to \(kept.last)")
    world.require(epoch != kept.epoch, "\(label) is opened twice in one epoch")
    let messages = world.broker.messages(of: subject, kept.epoch).filter { $0.number <= kept.last }
    world.require(kept.last == messages.last?.number ?? 0, "\(label) is told that \(kept.last) is the newest")
    let expected = messages.suffix(world.options.maxMessagesPerRoom)
    world.require(kept.posts.map(\.place.id) == expected.map(\.number), "\(label) is opened with a hole")
    world.require(kept.posts.map(\.post.bytes) == expected.map(\.bytes), "\(label) is opened with other messages")
    (epoch, last, count) = (kept.epoch, kept.last, messages.count)
  }

  func renumbered(_ epoch: String) {}

  func placed(_ posts: [PlacedPost]) {
    world.require(isOpen, "\(label) gets messages when it is not open")
    let messages = world.broker.messages(of: subject, epoch ?? "")
    for post in posts {
      let id = post.place.id
      let known: SimulatedBroker.Stored?
      if id > last {
        // The next one that there is.
        known = count < messages.count ? messages[count] : nil
        (last, count) = (id, count + 1)
      } else {
        known = messages.first { $0.number == id }
      }
      world.require(known?.number == id, "\(label) gets \(id), and not \(known?.number ?? 0)")
      world.require(known?.bytes == post.post.bytes, "\(label) gets another message as \(id) than the stream has")
    }
  }

  func availabilityChanged(_ isAvailable: Bool) { self.isAvailable = isAvailable }

  func attendance(unless version: Int) -> (attendance: Attendance, version: Int)? {
    self.version == version ? nil : (Attendance(people: [], count: people), self.version)
  }

  func attended(_ server: String, _ attendance: Attendance) {
    others[server] = attendance.count > 0 ? attendance.count : nil
  }

  func typed(_ name: String) {}
}
