@testable import ConfabChat
@testable import ConfabNats

/// The restrictions of a server, as the chat keeps them. It compares them with the stream.
final class SimulatedModerator: RestrictionDelegate, @unchecked Sendable {
  // @unchecked, because a simulation has one thread.

  /// A change that the server has made.
  final class Change: @unchecked Sendable {
    let change: RestrictionChange
    let at: Duration
    fileprivate(set) var isStored: Bool?
    /// Whether the stream was lost before the change was stored.
    fileprivate var isLost = false

    init(_ change: RestrictionChange, at now: Duration) { (self.change, at) = (change, now) }

    var bytes: [UInt8] { if case .set(let restriction) = change { restriction.json } else { [] } }
  }

  let world: World
  unowned let server: SimulatedServer
  private(set) var table: [String: Restriction] = [:]
  private(set) var changes: [Change] = []
  /// Whether all restrictions have been read.
  private var isRestored = false
  /// Number of the newest message when the server connected last.
  private var known = 0
  /// Restrictions that the server knew when the stream was lost.
  private var saved: [String: Restriction] = [:]

  init(_ world: World, _ server: SimulatedServer) { (self.world, self.server) = (world, server) }

  /// The restrictions that have not ended.
  var active: [String: Restriction] { table.filter { $0.value.isActive(at: world.milliseconds) } }

  private var stream: SimulatedRestrictions { world.broker.restrictions! }

  // MARK: Changes

  /// Makes a random change.
  func moderate() {
    let restriction = world.restriction()
    let isLift = table[restriction.id] != nil && world.chance.hits(0.5)
    submit(isLift ? .lift(id: restriction.id) : .set(restriction))
  }

  func submit(_ change: RestrictionChange) {
    world.trace("\(server.name) changes \(change.id.prefix(4))")
    apply(change)
    let made = Change(change, at: world.timeline.now)
    changes.append(made)
    server.take(.restrict(change) { [weak self] isStored in self?.finished(made, isStored) })
  }

  private func finished(_ made: Change, _ isStored: Bool) {
    world.require(made.isStored == nil, "\(server.name) is informed of a change twice")
    made.isStored = isStored
    guard isStored else { return world.require(server.isOver, "\(server.name) refuses a change") }
    // A later change of the server may have replaced this one before it was sent.
    let own = changes.filter { $0.change.id == made.change.id && $0.at >= made.at }.map(\.bytes)
    let isThere = stream.history(made.change.id).contains { message in
      own.contains(message.bytes) && stream.times[message.number] ?? .zero >= made.at
    }
    world.require(
      isThere || made.isLost, "\(server.name) counts a change of \(made.change.id.prefix(4)) as stored, but it is not")
  }

  private func apply(_ change: RestrictionChange) {
    if case .set(let restriction) = change { table[change.id] = restriction } else { table[change.id] = nil }
  }

  // MARK: The engine's calls

  func restored(_ restrictions: [Restriction]) {
    world.trace("\(server.name) has read \(restrictions.count) restrictions")
    world.require(Set(restrictions.map(\.id)).count == restrictions.count, "\(server.name) has a restriction twice")
    isRestored = true
    table = Dictionary(restrictions.map { ($0.id, $0) }) { $1 }
  }

  func changed(_ change: RestrictionChange) {
    world.require(isRestored, "\(server.name) gets a change before the restrictions")
    apply(change)
  }

  // MARK: Events of the world

  func connected() { known = stream.stream?.last ?? 0 }

  /// Notes what must be in the next stream.
  func streamLost(isOlder: Bool) {
    saved = isOlder ? [:] : active
    for change in changes where change.isStored == nil { change.isLost = true }
  }

  // MARK: Checks

  /// Checks a room's opening: all messages that were stored before the connection are known.
  func checkOpening() {
    world.require(isRestored, "\(server.name) opens a room before the restrictions are read")
    for id in stream.ids {
      let messages = stream.history(id)
      guard let base = messages.lastIndex(where: { $0.number <= known }) else { continue }
      if base == messages.endIndex - 1, stream.newest(id) == nil { continue }
      let candidates = messages[base...].map { $0.bytes.isEmpty ? nil : Restriction(json: $0.bytes) }
      world.require(
        messages[base].bytes.isEmpty || candidates[0] != nil || candidates.count > 1,
        "\(server.name) opens a room, though \(messages[base].number) is unreadable")
      let own = changes.filter { $0.change.id == id && $0.isStored == nil }
      let isKnown =
        !own.isEmpty
        || candidates.contains { restriction in
          restriction == table[id] || restriction.map { !$0.isActive(at: world.milliseconds) } ?? false
        }
      world.require(isKnown, "\(server.name) opens a room without restriction \(messages[base].number)")
    }
  }

  /// Checks the state after a while without faults.
  func checkRest() {
    let exchange = server.state.exchange
    world.require(exchange.phase == .live && exchange.isKnown, "\(server.name) has not read the restrictions")
    world.require(exchange.pending.isEmpty && exchange.doneCount == 0, "\(server.name) has pending restrictions")
    world.require(changes.allSatisfy { $0.isStored == true }, "\(server.name) is not informed of a change")
    for id in Set(stream.ids + table.keys).sorted() {
      let newest = stream.newest(id).flatMap { Restriction(json: $0.bytes) }
      let isRight = active[id] == newest.flatMap { $0.isActive(at: world.milliseconds) ? $0 : nil }
      world.require(isRight, "\(server.name) is wrong about restriction \(id.prefix(4))")
    }
    for (id, restriction) in saved where restriction.isActive(at: world.milliseconds) {
      world.require(!stream.history(id).isEmpty, "\(server.name) has not stored \(id.prefix(4)) in the new stream")
    }
  }

  /// Stops the server's exchange. All changes must be settled.
  func checkEnd() {
    submit(.set(world.restriction()))
    server.end()
    let exchange = server.state.exchange
    world.require(
      exchange.pending.isEmpty && exchange.delegate == nil && exchange.doneCount == 0,
      "\(server.name) keeps restrictions after its end")
    world.require(changes.allSatisfy { $0.isStored != nil }, "\(server.name) has not been informed at its end")
  }
}
