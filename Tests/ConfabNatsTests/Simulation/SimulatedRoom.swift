@testable import ConfabChat
@testable import ConfabNats

/// A room of a server. It compares its calls with the stream.
final class SimulatedRoom: RoomDelegate, @unchecked Sendable {
  // @unchecked, because a simulation has one thread.
  let world: World
  unowned let server: SimulatedServer
  let name: String
  let number: Int
  var isClosed = false
  private(set) var epoch: String?
  private(set) var last = 0
  /// State of the stream that its messages belong to, an index of ``SimulatedBroker/streams``.
  private var state = 0
  /// Time of the newest message that it has received; nil if it was opened without messages. The state that it read
  /// may then have been replaced before it was opened.
  private var newest: Int?
  /// Maximum number of further messages that were deleted before the room was opened, if it was opened without
  /// messages.
  private var unknown = 0
  /// Messages received in its epoch.
  private var heard: [Int: [UInt8]] = [:]
  private(set) var isAvailable = false
  /// Number of members to report to other servers, and its version.
  var people = 0
  var version = 0
  private(set) var remote: [String: Int] = [:]

  init(_ world: World, _ server: SimulatedServer, _ name: String, _ number: Int) {
    (self.world, self.server, self.name, self.number) = (world, server, name, number)
  }

  var subject: String { "confab.room." + name }
  private var label: String { "\(server.name)'s \(name)" }

  var isOpen: Bool { epoch != nil }
  /// Whether the room has all messages of the stream.
  var isUpToDate: Bool {
    let messages = messages(world.broker.streams.count - 1)
    // A restored older state may have fewer messages than the room has received. The next message shows that.
    return messages.filter { $0.number > last && !isErased($0, world.broker.streams.count - 1) }.count <= unknown
  }
  var isOfNewestStream: Bool {
    epoch.map { $0.prefix { $0 != " " } } == world.broker.streams.last.map { $0.created[...] }
  }

  /// Returns all messages of the room in a state of the stream, oldest first.
  private func messages(_ state: Int) -> [SimulatedStream.Stored] { world.broker.streams[state].rooms[subject] ?? [] }

  /// Whether servers have deleted a message. Rooms may have received it before.
  private func isErased(_ message: SimulatedStream.Stored, _ state: Int) -> Bool {
    world.broker.streams[state].erased.contains(message.number)
  }

  /// A message that it has received, and that was not erased; nil if there is none.
  func anyMessage() -> Int? {
    let erased = world.broker.streams.last?.erased ?? []
    return heard.keys.filter { !erased.contains($0) }.sorted().randomElement(using: &world.chance)
  }

  func opened(_ snapshot: RoomSnapshot) {
    server.moderator?.checkOpening()
    world.trace("\(label) is opened, of \(snapshot.epoch), up to \(snapshot.lastOffset)")
    if epoch == snapshot.epoch {
      let streams = world.broker.states(of: snapshot.epoch).map { world.broker.streams[$0] }
      let hasMissed = streams.contains { stream in
        stream.first() > last
          || stream.kept(subject).first { !stream.erased.contains($0.number) }.map { $0.number > last } ?? true
      }
      world.require(hasMissed, "\(label) was opened again without missed messages")
      world.require(
        snapshot.lastOffset >= last, "\(label) had \(last), and was opened again with \(snapshot.lastOffset)")
    } else {
      heard = [:]
    }
    let states = world.broker.states(of: snapshot.epoch)
    guard let state = states.last(where: { matches(snapshot, $0) }) else {
      return world.fail(
        "\(label) is opened with \(snapshot.publications.map(\.position.offset)), which no state of the stream has had")
    }
    let messages = messages(state)
    let end = messages.firstIndex { $0.number > snapshot.lastOffset } ?? messages.count
    newest = snapshot.publications.isEmpty ? nil : messages[end - 1].at
    unknown = snapshot.publications.isEmpty ? max(0, (world.broker.streams[state].deleted[subject] ?? 0) - end) : 0
    (epoch, last, self.state) = (snapshot.epoch, snapshot.lastOffset, state)
    for publication in snapshot.publications { hear(publication) }
  }

  /// Whether the snapshot can come from a state of the stream: it has all stored messages, without gaps.
  private func matches(_ snapshot: RoomSnapshot, _ state: Int) -> Bool {
    let messages = messages(state).filter { $0.number <= snapshot.lastOffset && !isErased($0, state) }
    let publications = snapshot.publications.filter {
      !world.broker.streams[state].erased.contains($0.position.offset)
    }
    // Messages that the room had before may be left out when it is opened again.
    let known = epoch == snapshot.epoch ? last : 0
    let there = world.broker.streams[state].kept(subject).filter {
      known < $0.number && $0.number <= snapshot.lastOffset && !isErased($0, state)
    }
    let limit = world.options.maxMessagesPerRoom
    let erased = snapshot.publications.count - publications.count
    guard publications.count + erased >= min(there.count, limit), publications.count <= min(messages.count, limit)
    else {
      return false
    }
    let expected = messages.suffix(publications.count)
    return (publications.isEmpty || erased > 0 || snapshot.lastOffset == expected.last?.number)
      && zip(publications, expected).allSatisfy { $1.matches($0) }
  }

  func epochChanged(_ epoch: String) {}

  func published(_ publications: [Publication]) {
    world.require(isOpen, "\(label) gets messages when it is not open")
    for publication in publications {
      let id = publication.position.offset
      if id > last { follow(publication) }
      hear(publication)
    }
  }

  /// Finds the next message in the current state of the stream, or in an older state that was restored and has the same
  /// earlier messages.
  private func follow(_ publication: Publication) {
    let id = publication.position.offset
    for next in world.broker.states(of: epoch ?? "") where next >= state {
      let messages = messages(next)
      let start = messages.firstIndex { $0.number > last } ?? messages.count
      guard newest == nil || start > 0 && messages[start - 1].at == newest else { continue }
      var skipped = 0
      let message = messages.dropFirst(start).prefix { message in
        if message.number < id && !isErased(message, next) { skipped += 1 }
        return skipped <= unknown && message.number <= id
      }.first { $0.matches(publication) }
      guard let message else { continue }
      return (last, newest, unknown, state) = (id, message.at, 0, next)
    }
    let expected = messages(state).first { $0.number > last }?.number ?? 0
    let states = world.broker.states(of: epoch ?? "").map { state in
      "\(messages(state).map(\.number)), \(world.broker.streams[state].deleted[subject] ?? 0) deleted"
    }
    world.fail(
      "\(label) gets \(id) instead of \(expected), after \(last) and up to \(unknown) unknown messages of \(states)")
  }

  /// Checks that each number belongs to one message.
  private func hear(_ publication: Publication) {
    let bytes =
      heard.updateValue(publication.draft.bytes, forKey: publication.position.offset) ?? publication.draft.bytes
    world.require(
      bytes == publication.draft.bytes,
      "\(label) gets a different message as \(publication.position.offset) than before")
  }

  func rejected(_ drafts: [Draft]) { server.rejected(drafts) }

  func availabilityChanged(_ isAvailable: Bool) { self.isAvailable = isAvailable }

  func presence(unless version: Int) -> (presence: ServerPresence, version: Int)? {
    self.version == version ? nil : (ServerPresence(members: [], count: people), self.version)
  }

  func presenceChanged(on server: String, to presence: ServerPresence) {
    remote[server] = presence.count > 0 ? presence.count : nil
  }

  func typed(_ name: String) {}
}
