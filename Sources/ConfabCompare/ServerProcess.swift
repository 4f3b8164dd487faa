import ArgumentParser
import CLoad
import Foundation
import Glibc

/// A server that is started afresh for each measurement, on the first core.
struct ServerProcess {
  let name: String
  /// With `{port}` in it.
  let command: String

  func measure(_ scenario: Scenario, seconds: Double, round: Int) async throws -> Measurement {
    let port = try freePort()
    let server = Process()
    server.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    server.arguments =
      ["taskset", "-c", "0"]
      + command.replacingOccurrences(of: "{port}", with: "\(port)").split(separator: " ").map(String.init)
    server.standardOutput = FileHandle.nullDevice
    server.standardError = FileHandle.nullDevice
    try server.run()
    defer {
      server.terminate()
      // Servers differ in how long they wait for clients: the next one must not wait for that.
      kill(server.processIdentifier, SIGKILL)
      server.waitUntilExit()
    }
    try await waitUntilListening(port, server)

    var load = scenario.load
    load.port = Int32(port)
    load.server = server.processIdentifier
    load.core = ProcessInfo.processInfo.activeProcessorCount > 1 ? 1 : -1
    load.warmup = scenario.isIdle ? 0 : 0.7
    load.seconds = scenario.isIdle ? 0 : seconds
    return Measurement(server: name, scenario: scenario, round: round, try Load.inAProcess(load))
  }

  private func freePort() throws -> Int {
    guard let port = (20_000..<30_000).shuffled().first(where: { !isListening($0) }) else {
      throw ValidationError("no free port")
    }
    return port
  }

  private func waitUntilListening(_ port: Int, _ server: Process) async throws {
    for _ in 0..<1000 {
      if !server.isRunning { throw ValidationError("\(name) has ended: \(command)") }
      if isListening(port) { return }
      try await Task.sleep(for: .milliseconds(10))
    }
    throw ValidationError("\(name) does not listen on port \(port) after 10 s: \(command)")
  }

  /// Looked up, not tried: a connection would count.
  private func isListening(_ port: Int) -> Bool {
    let suffix = ":" + String(format: "%04X", port)
    return ["/proc/net/tcp", "/proc/net/tcp6"].contains { file in
      let lines = (try? String(contentsOfFile: file, encoding: .utf8))?.split(separator: "\n") ?? []
      return lines.contains { line in
        let fields = line.split(separator: " ")
        return fields.count > 3 && fields[1].hasSuffix(suffix) && fields[3] == "0A"
      }
    }
  }
}

/// The load generator, in a process of its own: its CPU time must not be the runner's.
struct Load: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Give one server work, and tell what it took.", shouldDisplay: false)
  @Argument(help: "Options, as JSON.") var options: String

  func run() throws {
    let options = try JSONDecoder().decode(LoadOptions.self, from: Data(self.options.utf8))
    let result = load_run(options.load)
    FileHandle.standardOutput.write(try JSONEncoder().encode(LoadResult(result)))
  }

  static func inAProcess(_ load: load_options) throws -> load_result {
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0])
    process.arguments = ["load", String(decoding: try JSONEncoder().encode(LoadOptions(load)), as: UTF8.self)]
    process.standardOutput = output
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return try JSONDecoder().decode(LoadResult.self, from: data).result
  }
}

private struct LoadOptions: Codable {
  var integers: [Int32]
  var rate, warmup, seconds: Double

  init(_ load: load_options) {
    integers = [
      Int32(load.mode.rawValue), load.port, load.server, load.core, load.connections, load.senders, load.window,
      load.stalled, load.size,
    ]
    (rate, warmup, seconds) = (load.rate, load.warmup, load.seconds)
  }

  var load: load_options {
    load_options(
      mode: load_mode(UInt32(integers[0])), port: integers[1], server: integers[2], core: integers[3],
      connections: integers[4], senders: integers[5], window: integers[6], rate: rate, stalled: integers[7],
      size: integers[8], warmup: warmup, seconds: seconds)
  }
}

private struct LoadResult: Codable {
  var ok: Int32
  var numbers: [Double]

  init(_ r: load_result) {
    ok = r.ok
    numbers = [
      r.seconds, Double(r.deliveries), Double(r.cycles), Double(r.reads), r.server_cpu, r.own_cpu, r.p50, r.p99,
      r.longest, Double(r.lost), Double(r.wrong), Double(r.closed), r.rss_before, r.rss_connected, r.rss_after,
      r.rss_peak, r.connect_cpu,
    ]
  }

  var result: load_result {
    let n = numbers
    return load_result(
      ok: ok, seconds: n[0], deliveries: UInt64(n[1]), cycles: UInt64(n[2]), reads: UInt64(n[3]), server_cpu: n[4],
      own_cpu: n[5], p50: n[6], p99: n[7], longest: n[8], lost: UInt64(n[9]), wrong: UInt64(n[10]),
      closed: UInt64(n[11]), rss_before: n[12], rss_connected: n[13], rss_after: n[14], rss_peak: n[15],
      connect_cpu: n[16])
  }
}
