import Confab
import ConfabChat

@testable import ConfabNats

/// A server of the chat without clients. It does the work of ``JetStreamEngine``.
final class SimulatedServer {
  let world: World
  let name: String
  var state: JetStreamState
  private(set) var link: SimulatedLink!
  /// Nil in a world without restrictions.
  private(set) var moderator: SimulatedModerator?
  private var inputs: [Input] = []
  private var isAwake = false
  /// Rooms by name.
  private(set) var rooms: [String: SimulatedRoom] = [:]
  private var roomCount = 0
  private(set) var isOver = false
  /// Messages given to the engine, none of which may be lost.
  private(set) var given: [String] = []
  /// Messages that must be rejected, of rooms that are open.
  private(set) var tooLarge: [String: SimulatedRoom] = [:]

  init(_ world: World, _ name: String) {
    (self.world, self.name) = (world, name)
    state = JetStreamState(world.options, instance: world.chance.next(), now: world.instant)
    link = SimulatedLink(world, self)
    if world.isModerated {
      moderator = SimulatedModerator(world, self)
      take(.openRestrictions(moderator!))
    }
    link.comeBack(after: 0...0.5)
    look()
  }

  var instance: String { state.instance }
  var sortedRooms: [SimulatedRoom] { rooms.sorted { $0.key < $1.key }.map(\.value) }

  // MARK: Rooms

  func open(_ name: String) -> SimulatedRoom {
    if let room = rooms[name] { return room }
    world.trace("\(self.name) opens \(name)")
    roomCount += 1
    let room = SimulatedRoom(world, self, name, roomCount)
    rooms[name] = room
    take(.open(room.number, name, room))
    return room
  }

  func close(_ name: String) {
    guard let room = rooms.removeValue(forKey: name) else { return }
    world.trace("\(self.name) closes \(name)")
    room.isClosed = true
    tooLarge = tooLarge.filter { $0.value !== room }
    take(.close(room.number))
  }

  /// Sends a message to an open room.
  func say(
    _ text: String, _ entry: EntryKind = .message, of sender: UInt64, tag: String?, in room: SimulatedRoom
  ) {
    if text.utf8.count > world.broker.maxPayload { tooLarge[text] = room } else { given.append(text) }
    let draft = Draft(
      entry, kind: .text, bytes: Array(text.utf8), name: tag == nil ? nil : "Ann", tag: tag)
    take(.publish(room.number, draft, nil, publisher: sender))
  }

  func rejected(_ drafts: [Draft]) {
    for draft in drafts {
      let text = String(decoding: draft.bytes, as: UTF8.self)
      world.require(tooLarge.removeValue(forKey: text) != nil, "\(name) rejects \(text.prefix(20))")
    }
  }

  func kill() {
    world.trace("\(name) dies")
    isOver = true
    link.end()
    for room in rooms.values { room.isClosed = true }
  }

  /// Gives up the pending changes of restrictions, as at a shutdown.
  func end() {
    for case .restrict(let change, let done) in inputs {
      var effects = Effects()
      state.store(change, done, &effects)
    }
    inputs = []
    var effects = Effects()
    state.endRestrictions(&effects)
    isOver = true
    for (done, isStored) in effects.stored { done(isStored) }
  }

  /// Releases everything that refers to this server.
  func release() {
    (link, moderator, rooms, tooLarge, inputs) = (nil, nil, [:], [:], [])
    state = JetStreamState(world.options, instance: 0, now: world.instant)
  }

  // MARK: The engine

  func take(_ input: Input) {
    inputs.append(input)
    if isAwake { return }
    isAwake = true
    world.timeline.schedule(after: world.chance.time(0...0.002)) { [self] in run() }
  }

  private func run() {
    isAwake = false
    let inputs = exchange(&inputs, with: [])
    perform { state, effects in
      for input in inputs { state.handle(input, now: world.instant, &effects) }
      state.sendRestrictions(world.instant, time: world.milliseconds, &effects)
      state.send(world.instant, &effects)
    }
  }

  private func look() {
    perform { state, effects in
      state.tick(world.instant, &effects)
      state.sendRestrictions(world.instant, time: world.milliseconds, &effects)
      state.send(world.instant, &effects)
    }
    world.timeline.schedule(after: .milliseconds(250)) { [self] in if !isOver { look() } }
  }

  private func perform(_ change: (inout JetStreamState, inout Effects) -> Void) {
    if isOver { return }
    let before = state.publishQueue.messages
    var effects = Effects()
    change(&state, &effects)
    state.reportAvailability(&effects)
    for (number, message) in before.sorted(by: { $0.key < $1.key }) where state.publishQueue.messages[number] == nil {
      let text = String(decoding: message.draft.bytes, as: UTF8.self)
      let isStored = world.broker.hasStored(message.draft.bytes) || text.utf8.count > world.broker.maxPayload
      world.require(isStored, "\(name) counts \(text) as stored, but it is not")
    }
    for action in effects.actions {
      switch action {
      case .subscribe(let subject): link.subscribe(subject)
      case .unsubscribe(let subject): link.unsubscribe(subject)
      case .publish(let publication):
        if let number = publication.number, publication.bytes.count > world.broker.maxPayload {
          take(.tooLarge(number))
        } else {
          link.publish(publication)
        }
      }
    }
    for (done, isStored) in effects.stored { done(isStored) }
    for call in effects.calls { call.perform { take(.presence($0, $1, $2)) } }
    for (_, text) in effects.logs { world.trace("\(name) logs: \(text)") }
    if effects.needsAnotherRun { world.timeline.schedule(after: .milliseconds(20)) { [self] in if !isOver { run() } } }
  }
}
