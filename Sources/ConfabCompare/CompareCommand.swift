import ArgumentParser
import CLoad
import Foundation

@main
struct CompareCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "confab-compare",
    abstract: "Confab beside the pure-Swift codec, SwiftNIO's, and other servers, on the same work.",
    discussion: """
      Each server runs as a process of its own, on one core; a load generator on another one gives it work, checks every \
      delivery, and tells what it took. Confab runs with a backlog limit of 1 GiB, since the others have none. The servers take turns, round by round; the table has medians, and ratios to the \
      first peer that are medians of the rounds' ratios.

      A peer is given by its command, which {port} stands in: --peer 'ws=node server.js {port}'. It must do what the \
      chat does: send each message back to its sender and to everyone else.
      """,
    subcommands: [Run.self, Codecs.self, Allocations.self, Nio.self, Load.self],
    defaultSubcommand: Run.self
  )
}

struct Run: AsyncParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Compare. This is what 'confab-compare' alone does.")

  @Option(help: "How often every server gets every scenario.")
  var rounds = 5

  @Option(help: "Seconds that are measured, each time.")
  var seconds = 2.0

  @Option(help: ArgumentHelp("Scenarios, with commas between: \(Scenario.all.map(\.name).joined(separator: ","))"))
  var scenarios = Scenario.all.map(\.name).joined(separator: ",")

  @Option(help: "In place of the scenarios: connections …")
  var connections: Int?
  @Option(help: "… of which so many talk …")
  var senders = 1
  @Option(help: "… with so many messages in flight each …")
  var window = 1
  @Option(help: "… or so many a second, all together …")
  var rate = 0.0
  @Option(help: "… of so many bytes …")
  var size = 64
  @Option(help: "… to these and to so many clients that never read.")
  var stalled = 0

  @Option(help: ArgumentHelp("Another server.", valueName: "name=command {port}"))
  var peer: [String] = []

  @Option(help: ArgumentHelp("What the servers may run on, as taskset takes it. The load has the last core."))
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
        // Another one begins in each round.
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
          // Its rounds are pairs: what has been measured of this one is left out, and the others are not lost.
          let server = servers[(turn + turns.count) % servers.count]
          print("round \(round + 1)/\(rounds)  \(scenario.name)  left out, since \(server.name) failed: \(error)")
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
      throw ValidationError("\(wrong.server) did not deliver everything as it was sent in '\(wrong.scenario)'")
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
        throw ValidationError("a peer is NAME=COMMAND with {port} in it, not '\(text)'")
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
  static let configuration = CommandConfiguration(abstract: "Serve the chat with SwiftNIO: the peer.")
  @Option var port: Int
  @Flag(help: "Write through the frame encoder.") var encoder = false

  func run() throws { try NioChat.serve(port: port, mode: encoder ? .encoder : .shared) }
}
