import ArgumentParser
import CLoad
import Foundation
import Glibc

/// A server that is started anew for each measurement.
struct ServerProcess {
  let name: String
  /// The command, with `{port}` in it.
  let command: String

  /// The default server. Its backlog limit is raised, because the other servers have none.
  static func confab(_ options: String = "") -> ServerProcess {
    ServerProcess(
      name: "Confab", command: "\(confabProgram) serve --port {port} --log-level error --max-backlog 1GiB \(options)")
  }
  static let swiftNIO = ServerProcess(name: "SwiftNIO", command: "\(ownProgram) nio --port {port}")
  static let swiftNIOEncoder = ServerProcess(
    name: "SwiftNIO, encoder", command: "\(ownProgram) nio --port {port} --encoder")
  /// The server that `make build` builds, in the working directory.
  static let confabProgram = ".build/release/confab"
  private static let ownProgram = CommandLine.arguments[0]

  /// - Parameter cores: The server's cores, in the format of taskset(1). The load generator runs on the last core.
  func measure(_ scenario: Scenario, seconds: Double, round: Int, cores: String) async throws -> Measurement {
    var load = scenario.load
    load.warmup = scenario.isIdle ? 0 : 0.7
    load.seconds = scenario.isIdle ? 0 : seconds
    let count = ProcessInfo.processInfo.activeProcessorCount
    load.core = count > 1 ? Int32(count - 1) : -1
    return Measurement(
      server: name, scenario: scenario, round: round, try await run(load, below: ["taskset", "-c", cores]))
  }

  /// Starts the server with the command `wrapper`, runs `load`, and stops the server.
  func run(_ load: load_options, below wrapper: [String], gently: Bool = false) async throws -> load_result {
    let port = try freePort()
    let server = Process()
    server.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    server.arguments =
      wrapper + command.replacingOccurrences(of: "{port}", with: "\(port)").split(separator: " ").map(String.init)
    server.standardOutput = FileHandle.nullDevice
    server.standardError = FileHandle.nullDevice
    try server.run()
    defer {
      server.terminate()
      // Servers differ in how long they wait for clients to close. The next measurement must not wait for that.
      if !gently { kill(server.processIdentifier, SIGKILL) }
      server.waitUntilExit()
    }
    try await waitUntilListening(port, server)
    var load = load
    load.port = Int32(port)
    load.server = server.processIdentifier
    return try Load.inAProcess(load)
  }

  private func freePort() throws -> Int {
    guard let port = (20_000..<30_000).shuffled().first(where: { !isListening($0) }) else {
      throw ValidationError("no free port")
    }
    return port
  }

  private func waitUntilListening(_ port: Int, _ server: Process) async throws {
    for _ in 0..<3000 {
      if !server.isRunning { throw ValidationError("\(name) has ended: \(command)") }
      if isListening(port) { return }
      try await Task.sleep(for: .milliseconds(10))
    }
    throw ValidationError("\(name) does not listen on port \(port) after 30 s: \(command)")
  }

  /// Reads the system's table of sockets, because a test connection would be counted.
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
