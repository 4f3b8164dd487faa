import ArgumentParser
import CLoad
import Foundation

@main
struct CompareCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "confab-compare",
    abstract: "Compare Confab with SwiftNIO's pure-Swift codec and other servers, on equal workloads.",
    discussion: """
      Each server runs as a separate process on one core. A load generator on another core sends messages, checks \
      every delivery, and measures the cost. Confab runs with a backlog limit of 1 GiB, because the others have none. \
      The servers take turns in each round. The table has medians, and ratios to each peer, which are medians of the \
      rounds' ratios.

      A peer is a command with {port}: --peer 'ws=node server.js {port}'. It must work like the chat: send each \
      message back to its sender and to all other clients.
      """,
    subcommands: [Run.self, Codecs.self, Allocations.self, Nio.self, Load.self],
    defaultSubcommand: Run.self
  )
}

struct Run: AsyncParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Run the comparison. This is the default command.")

  @Option(help: "Number of times that each server gets each scenario.")
  var rounds = 5

  @Option(help: "Duration of each measurement in seconds.")
  var seconds = 2.0

  @Option(help: ArgumentHelp("Scenarios, separated by commas: \(Scenario.all.map(\.name).joined(separator: ","))"))
  var scenarios = Scenario.all.map(\.name).joined(separator: ",")

  @Option(help: "Number of connections. Replaces the scenarios by one with these options.")
  var connections: Int?
  @Option(help: "Number of sending connections.")
  var senders = 1
  @Option(help: "Messages in flight for each sender.")
  var window = 1
  @Option(help: "Messages per second of all senders together, instead of a window.")
  var rate = 0.0
  @Option(help: "Message size in bytes.")
  var size = 64
  @Option(help: "Number of additional clients that never read.")
  var stalled = 0

  @Option(help: ArgumentHelp("Another server.", valueName: "name=command {port}"))
  var peer: [String] = []

  @Option(
    help: ArgumentHelp("Cores for the servers, in the format of taskset. The load generator runs on the last core."))
  var cores = "0"

  @Option(parsing: .unconditional, help: ArgumentHelp("Options for confab.", valueName: "options"))
  var confab = ""

  @Flag(help: "Leave out the peer that writes through NIO's frame encoder.")
  var bestOnly = false

  @Option(help: ArgumentHelp("Write every measurement to a file.", valueName: "file"))
  var json: String?
  @Option(help: ArgumentHelp("Draw the CPU times to a file.", valueName: "file"))
  var svg: String?

  func run() async throws {
    let scenarios = try chosenScenarios()
    let servers = try chosenServers()
    var all: [Measurement] = []
    for round in 0..<rounds {
      for scenario in scenarios {
        // Each round starts with another server.
        let turn = round % servers.count
        var turns: [Measurement] = []
        do {
          for server in servers[turn...] + servers[..<turn] {
            let measurement = try await server.measure(scenario, seconds: seconds, round: round, cores: cores)
            progress(measurement, of: scenario)
            turns.append(measurement)
          }
          all += turns
        } catch {
          // Rounds are compared pairwise, so an incomplete round of this scenario is left out. The others are kept.
          let server = servers[(turn + turns.count) % servers.count]
          print("round \(round + 1)/\(rounds)  \(scenario.name)  left out, because \(server.name) failed: \(error)")
        }
      }
    }
    let measured = scenarios.filter { scenario in all.contains { $0.scenario == scenario.name } }
    let report = Report(scenarios: measured, servers: servers.map(\.name), measurements: all)
    print(report.table)
    if let json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
      try encoder.encode(all).write(to: URL(fileURLWithPath: json))
    }
    if let svg { try Data(Chart(report).svg.utf8).write(to: URL(fileURLWithPath: svg)) }
    if let wrong = all.first(where: { !$0.isRight }) {
      throw ValidationError("\(wrong.server) did not deliver all messages correctly in '\(wrong.scenario)'")
    }
  }

  private func chosenScenarios() throws -> [Scenario] {
    if let connections {
      return [
        .fanout(
          "own", "\(connections) connections, \(senders) senders, \(size) B", connections: connections,
          senders: senders, window: rate > 0 ? 0 : window, size: size, rate: rate, stalled: stalled)
      ]
    }
    return try scenarios.split(separator: ",").map { name in
      guard let scenario = Scenario.all.first(where: { $0.name == name }) else {
        throw ValidationError("there is no scenario '\(name)'")
      }
      return scenario
    }
  }

  private func chosenServers() throws -> [ServerProcess] {
    var servers = [ServerProcess.confab(confab), .swiftNIO]
    if !bestOnly { servers.append(.swiftNIOEncoder) }
    for text in peer {
      let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
      guard parts.count == 2, parts[1].contains("{port}") else {
        throw ValidationError("a peer must be NAME=COMMAND with {port} in it, not '\(text)'")
      }
      servers.append(ServerProcess(name: parts[0], command: parts[1]))
    }
    return servers
  }

  private func progress(_ one: Measurement, of scenario: Scenario) {
    let numbers = "\(one.cpu.microseconds) µs, p99 \(one.p99.formatted(0)) µs"
    let line = "round \(one.round + 1)/\(rounds)  \(scenario.name)  \(one.server): \(numbers)"
    FileHandle.standardError.write(Data("\(line)\(one.isRight ? "" : "  NOT ALL DELIVERED")\n".utf8))
  }
}

struct Nio: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Serve the chat with SwiftNIO, for the comparison.")
  @Option var port: Int
  @Flag(help: "Write through the frame encoder.") var encoder = false

  func run() throws { try NioChat.serve(port: port, mode: encoder ? .encoder : .shared) }
}
