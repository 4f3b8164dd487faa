import ArgumentParser
import CSimulation
import Glibc

@main
struct Simulation: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate", abstract: "Runs Confab's data path on simulated loops, sockets and time.",
    subcommands: [Random.self, Exhaustive.self, Replay.self], defaultSubcommand: Random.self)

  /// Runs worlds with random events.
  struct Random: ParsableCommand {
    @Option(help: "Seed of the first world. Each further world uses the next seed.") var seed: UInt64?
    @Option(help: "Duration in seconds.") var seconds = 10.0
    @Option(help: "Number of worlds, instead of a duration.") var worlds: Int?

    func run() throws {
      let first = seed ?? UInt64.random(in: 0...UInt64.max >> 1)
      let start = Clock.now
      var count = 0
      print("seed \(first)")
      while worlds.map({ count < $0 }) ?? (Clock.now.time - start.time < seconds) {
        let seed = first + UInt64(count)
        Crash.note("world with seed \(seed)")
        let result = RandomWorld(Choices(seed: seed)).run()
        count += 1
        if let fault = result.fault {
          print("seed \(seed): \(fault)")
          shrink(result.choices.made.map(\.choice), fault)
          throw ExitCode.failure
        }
      }
      report(count, since: start)
    }

    /// Finds a shorter list of choices that ends in the same kind of fault, and prints it.
    private func shrink(_ choices: [UInt32], _ original: World.Fault) {
      var (best, fault) = (choices, original)
      func fails(_ list: [UInt32]) -> Bool {
        guard let found = RandomWorld(Choices(list)).run().fault, found.kind == original.kind else { return false }
        (best, fault) = (list, found)
        return true
      }
      var size = best.count
      while size > 0 {
        var start = 0
        while start < best.count {
          let end = min(start + size, best.count)
          let isZero = best[start..<end].allSatisfy { $0 == 0 }
          if fails(Array(best[..<start] + best[end...])) { continue }
          if !isZero { _ = fails(best[..<start] + Array(repeating: 0, count: end - start) + best[end...]) }
          start = end
        }
        size /= 2
      }
      print("shortest choices that fail, \(best.count): \(best.map(String.init).joined(separator: " "))")
      print(fault)
    }
  }

  /// Runs one world again and prints its events.
  struct Replay: ParsableCommand {
    @Option(help: "Seed of the world.") var seed: UInt64?
    @Option(help: "Name of a script of an exhaustive run.") var script: String?
    @Argument(help: "The choices, instead of a seed.") var choices: [UInt32] = []

    func run() {
      World.isTraced = true
      let choices = seed.map { Choices(seed: $0) } ?? Choices(self.choices)
      let script = SmallWorld.scripts.first { $0.name == self.script }
      let fault = script.map { SmallWorld(script: $0).run(choices).fault } ?? RandomWorld(choices).run().fault
      print(fault.map { "\($0)" } ?? "no fault")
    }
  }

  /// Runs each script with every combination of at most `surprises` surprises.
  struct Exhaustive: ParsableCommand {
    @Option(help: "Maximum number of surprises in a run: choices other than 0.") var surprises =
      2

    func run() throws {
      for script in SmallWorld.scripts {
        let start = Clock.now
        var count = 0
        var list: [UInt32]? = []
        while let choices = list {
          Crash.note("script '\(script.name)' with choices \(choices)")
          let result = SmallWorld(script: script).run(Choices(choices))
          count += 1
          if let fault = result.fault {
            print("\(script.name): \(fault)\nchoices: \(choices.map(String.init).joined(separator: " "))")
            throw ExitCode.failure
          }
          list = result.choices.successor(limit: surprises)
        }
        print("\(script.name): ", terminator: "")
        report(count, since: start)
      }
    }
  }
}

private func report(_ worlds: Int, since start: (time: Double, steps: UInt64)) {
  let (seconds, steps) = (Clock.now.time - start.time, sim_steps() - start.steps)
  print("\(worlds) worlds, \(steps) steps in \(Int(seconds * 1000)) ms")
}

/// The real time in seconds, and the number of steps so far.
private enum Clock {
  static var now: (time: Double, steps: UInt64) {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return (Double(time.tv_sec) + Double(time.tv_nsec) / 1e9, sim_steps())
  }
}

/// Prints what ran when the process crashes or hangs for ten seconds.
private enum Crash {
  nonisolated(unsafe) private static var text = UnsafeMutablePointer<CChar>.allocate(capacity: 4096)

  static func note(_ what: String) {
    strncpy(text, what + "\n", 4095)
    _ = alarm(10)
    for number in [SIGILL, SIGTRAP, SIGSEGV, SIGABRT, SIGALRM] {
      signal(number) { number in
        write(2, Crash.text, strlen(Crash.text))
        signal(number, SIG_DFL)
        raise(number)
      }
    }
  }
}
