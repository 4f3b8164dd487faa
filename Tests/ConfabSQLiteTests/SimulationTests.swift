import Foundation
import Testing

struct SimulationTests {
  /// Runs random worlds: `WORLDS=n` of them, or the one of `SEED=n`.
  @Test func nothingIsLostOrGivenTwice() {
    let environment = ProcessInfo.processInfo.environment
    let seeds = environment["SEED"].flatMap { UInt64($0) }.map { [$0] }
    let first = environment["FIRST_SEED"].flatMap { UInt64($0) } ?? 1
    let count = environment["WORLDS"].flatMap { UInt64($0) } ?? 200
    for seed in seeds ?? Array(first..<first + count) {
      let world = World(seed: seed)
      world.live(150)
      guard let problem = world.problem else { continue }
      Issue.record("SEED=\(seed): \(problem)\n\(world.log.suffix(60).joined(separator: "\n"))")
      return
    }
  }
}
