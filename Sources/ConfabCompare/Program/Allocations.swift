import ArgumentParser
import CLoad
import Foundation

/// Counts the heap allocations of deliveries: heaptrack records a short and a long run of a server. The difference of
/// their allocations is divided by the difference of their deliveries.
struct Allocations: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Count heap allocations per million deliveries, with heaptrack (Debian: apt-get install heaptrack).")

  @Option(help: "Number of connections. One of them sends.")
  var connections = 100
  @Option(help: "Messages per second.")
  var rate = 1000.0

  func run() async throws {
    guard FileManager.default.fileExists(atPath: Allocations.recorder) else {
      throw ValidationError("there is no \(Allocations.recorder): install heaptrack")
    }
    print("| server | deliveries | allocations | allocations/million deliveries | right |")
    print("| --- | ---: | ---: | ---: | --- |")
    for server in [ServerProcess.confab("--loops 1"), .swiftNIO, .swiftNIOEncoder] {
      let short = try await count(server, seconds: 2)
      let long = try await count(server, seconds: 12)
      let deliveries = long.deliveries - short.deliveries
      let allocations = long.allocations - short.allocations
      let rate = Double(allocations) / Double(max(deliveries, 1)) * 1e6
      print(
        "| \(server.name) | \(deliveries) | \(allocations) | \(rate.formatted(0)) "
          + "| \(short.isRight && long.isRight ? "yes" : "no") |")
    }
  }

  private func count(
    _ server: ServerProcess, seconds: Double
  ) async throws -> (deliveries: Int, allocations: Int, isRight: Bool) {
    let file = FileManager.default.temporaryDirectory.appending(path: "confab-compare-\(getpid()).heaptrack")
    defer { try? FileManager.default.removeItem(at: file) }
    var load = Scenario.fanout("", "", connections: connections, senders: 1, window: 0, rate: rate).load
    load.core = -1
    load.seconds = seconds
    let environment = ["DUMP_HEAPTRACK_OUTPUT=\(file.path)", "LD_PRELOAD=\(Allocations.recorder)"]
    let result = try await server.run(load, below: environment, gently: true)
    guard let log = try? Data(contentsOf: file), !log.isEmpty else {
      throw ValidationError("heaptrack has recorded nothing of \(server.name)")
    }
    // Lines that begin with "+" are allocations.
    let allocations = log.split(separator: UInt8(ascii: "\n")).count { $0.first == UInt8(ascii: "+") }
    return (Int(result.deliveries), allocations, result.ok != 0)
  }

  private static let recorder = "/usr/lib/heaptrack/libheaptrack_preload.so"
}
