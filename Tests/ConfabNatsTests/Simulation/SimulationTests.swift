import Confab
import Foundation
import Testing

@testable import ConfabChat
@testable import ConfabNats

/// Worlds with many faults, one for each seed, starting with FIRST_SEED or 1. SIMULATE is the run time in seconds. SEED
/// replays one world and prints its events.
@Suite(.serialized) struct SimulationTests {
  private static let environment = ProcessInfo.processInfo.environment
  private static let duration = Duration.seconds(environment["SIMULATE"].flatMap { Int($0) } ?? 5)

  /// Without and with changes of restrictions.
  @Test(arguments: [false, true]) func servers_agree_and_nothing_is_lost(isModerated: Bool) {
    if let seed = Self.environment["SEED"].flatMap({ UInt64($0) }) {
      return replay(World(seed: seed, isModerated: isModerated))
    }
    let end = ContinuousClock.now + Self.duration
    var (worlds, steps, seed) = (
      0, 0, Self.environment["FIRST_SEED"].flatMap { UInt64($0) } ?? 1
    )
    while ContinuousClock.now < end {
      let world = World(seed: seed, isModerated: isModerated)
      if world.run() != nil {
        replay(shrunk(world))
        break
      }
      (worlds, steps, seed) = (worlds + 1, steps + world.timeline.steps, seed + 1)
    }
    print("\(worlds) worlds, \(steps) steps")
    #expect(worlds > 0 && steps > 1000 * worlds)
  }

  /// A message is lost when an older state is restored, and is stored again under the same number.
  @Test(arguments: [true, false]) func rooms_follow_the_state_that_their_messages_belong_to(isLostMessageKnown: Bool) {
    let world = World(seed: 1, faults: [])
    let (broker, server) = (world.broker!, SimulatedServer(world, "s"))
    defer {
      server.release()
      world.end()
    }
    func publish(_ subject: String, _ text: String = "") {
      let message = NatsMessage(
        subject: subject, reply: "", headers: [Delivery.idHeader: text], bytes: Array(text.utf8))
      broker.received(message, from: server.link)
    }
    func publication(_ id: Int, _ text: String, at time: Int64) -> Publication {
      Publication(Draft(kind: .text, bytes: Array(text.utf8)), at: Position(offset: id, time: time))
    }
    let room = SimulatedRoom(world, server, "tea", 1)
    publish("$JS.API.STREAM.CREATE.CONFAB")
    room.opened(RoomSnapshot(epoch: "stream0", lastOffset: 0, publications: []))
    publish("confab.room.tea", "hello")
    broker.stop()
    broker.putBack()
    #expect(broker.streams.map(\.last) == [1, 0])
    broker.start(anew: false)
    for text in ["hello", "again"] { publish("confab.room.tea", text) }
    room.published([publication(1, "hello", at: isLostMessageKnown ? 1 : 2)])
    #expect(world.failure == nil)
    room.published([publication(2, "again", at: 3)])
    #expect((world.failure != nil) == isLostMessageKnown)
  }

  /// Reduces a failing world to fewer faults and less time, as long as it still fails.
  private func shrunk(_ world: World) -> World {
    var (faults, trouble) = (world.faults, world.trouble)
    for fault in Faults.allCases
    where World(seed: world.seed, faults: faults.subtracting(fault), trouble: trouble, isModerated: world.isModerated)
      .run() != nil
    {
      faults.subtract(fault)
    }
    for share in [0.1, 0.2, 0.3, 0.5, 0.7, 0.85]
    where World(seed: world.seed, faults: faults, trouble: world.trouble * share, isModerated: world.isModerated).run()
      != nil
    {
      trouble = world.trouble * share
      break
    }
    return World(seed: world.seed, faults: faults, trouble: trouble, isModerated: world.isModerated)
  }

  private func replay(_ world: World) {
    world.isTraced = true
    let failure = world.run()
    if failure != nil || Self.environment["SEED"] != nil { print(world.traces.suffix(300).joined(separator: "\n")) }
    if let failure {
      Issue.record(
        "seed \(world.seed)\(world.isModerated ? " with restrictions" : ""), with the faults \(world.faults.rawValue) for \(world.trouble): \(failure)"
      )
    }
  }
}
