import Foundation
import Testing

@testable import ConfabNats

/// Worlds with many faults, one for each seed, starting with FIRST_SEED or 1. SIMULATE is the run time in seconds. SEED
/// replays one world and prints its events.
@Suite(.serialized) struct SimulationTests {
  private static let environment = ProcessInfo.processInfo.environment
  private static let duration = Duration.seconds(environment["SIMULATE"].flatMap { Int($0) } ?? 5)

  @Test func allServersHaveTheSameMessagesAndNothingIsLost() {
    if let seed = Self.environment["SEED"].flatMap({ UInt64($0) }) { return replay(World(seed: seed)) }
    let end = ContinuousClock.now + Self.duration
    var (worlds, steps, seed) = (
      0, 0, Self.environment["FIRST_SEED"].flatMap { UInt64($0) } ?? 1
    )
    while ContinuousClock.now < end {
      let world = World(seed: seed)
      if world.run() != nil {
        replay(shrunk(world))
        break
      }
      (worlds, steps, seed) = (worlds + 1, steps + world.timeline.steps, seed + 1)
    }
    print("\(worlds) worlds, \(steps) steps")
    #expect(worlds > 0 && steps > 1000 * worlds)
  }

  /// Reduces a failing world to fewer faults and less time, as long as it still fails.
  private func shrunk(_ world: World) -> World {
    var (faults, trouble) = (world.faults, world.trouble)
    for fault in Faults.allCases
    where World(seed: world.seed, faults: faults.subtracting(fault), trouble: trouble).run() != nil {
      faults.subtract(fault)
    }
    for share in [0.1, 0.2, 0.3, 0.5, 0.7, 0.85]
    where World(seed: world.seed, faults: faults, trouble: world.trouble * share).run() != nil {
      trouble = world.trouble * share
      break
    }
    return World(seed: world.seed, faults: faults, trouble: trouble)
  }

  private func replay(_ world: World) {
    world.isTraced = true
    let failure = world.run()
    if failure != nil || Self.environment["SEED"] != nil { print(world.traces.suffix(300).joined(separator: "\n")) }
    if let failure {
      Issue.record("seed \(world.seed), with the faults \(world.faults.rawValue) for \(world.trouble): \(failure)")
    }
  }
}
