import Foundation

/// Medians of the rounds, and the ratios between servers.
struct Report {
  let scenarios: [Scenario]
  let servers: [String]
  let measurements: [Measurement]

  private func rounds(_ scenario: Scenario, _ server: String) -> [Measurement] {
    measurements.filter { $0.scenario == scenario.name && $0.server == server }.sorted { $0.round < $1.round }
  }

  func values(_ scenario: Scenario, _ server: String, _ key: KeyPath<Measurement, Double>) -> [Double] {
    rounds(scenario, server).map { $0[keyPath: key] }
  }

  func median(_ scenario: Scenario, _ server: String, _ key: KeyPath<Measurement, Double>) -> Double {
    values(scenario, server, key).median
  }

  /// The first server's value divided by that of `server`: the median of the rounds' ratios.
  func ratio(_ scenario: Scenario, to server: String, _ key: KeyPath<Measurement, Double>) -> Double {
    zip(values(scenario, servers[0], key), values(scenario, server, key)).map { $0 / max($1, .leastNormalMagnitude) }
      .median
  }

  var table: String {
    var lines = ["", "Machine: \(machine). Date: \(date). Rounds: \(rounds)."]
    for scenario in scenarios {
      let unit = scenario.isIdle || scenario.name == "connect" ? "connection" : "delivery"
      lines += ["", "### \(scenario.title)", ""]
      lines.append(
        "| server | CPU µs/\(unit) | least – most | \(servers[0]) takes | busiest thread | a second | p50 µs | p99 µs "
          + "| B/connection | grows by MiB | load CPU µs | right |")
      lines.append("| --- |" + String(repeating: " ---: |", count: 11))
      for server in servers { lines.append(row(scenario, server)) }
    }
    let compared = scenarios.filter { !$0.isIdle && !$0.isPaced && $0.name != "connect" }
    if servers.count > 1 && !compared.isEmpty {
      lines.append("")
      for server in servers.dropFirst() {
        let mean = exp(compared.map { log(ratio($0, to: server, \.cpu)) }.reduce(0, +) / Double(compared.count))
        lines.append(
          "CPU per delivery, \(servers[0]) ÷ \(server), geometric mean of \(compared.count) scenarios: "
            + "\(mean.formatted(2))")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private func row(_ scenario: Scenario, _ server: String) -> String {
    let cpu = values(scenario, server, \.cpu)
    let all = rounds(scenario, server)
    func whole(_ key: KeyPath<Measurement, Double>) -> String { median(scenario, server, key).formatted(0) }
    func time(_ key: KeyPath<Measurement, Double>) -> String { median(scenario, server, key).microseconds }
    let ratio = server == servers[0] ? "" : "\(ratio(scenario, to: server, \.cpu).formatted(2)) ×"
    let isIdle = scenario.isIdle
    let pace =
      isIdle ? ["", "", "", ""] : [time(\.busiestThread), whole(\.perSecond), whole(\.p50), whole(\.p99)]
    let right = "\(all.count { $0.isRight })/\(all.count)" + (all.allSatisfy(\.isOneOrder) ? "" : ", not one order")
    let cells =
      [server, cpu.median.microseconds, "\((cpu.min() ?? 0).microseconds) – \((cpu.max() ?? 0).microseconds)", ratio]
      + pace + [
        whole(\.memory), isIdle ? "" : (median(scenario, server, \.growth) / 1_048_576).formatted(1),
        isIdle ? "" : time(\.loadCPU), right,
      ]
    return "| " + cells.joined(separator: " | ") + " |"
  }

  private var rounds: Int { (measurements.map(\.round).max() ?? -1) + 1 }
  private var machine: String {
    let info = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    let model = info.split(separator: "\n").first { $0.hasPrefix("model name") }?.split(separator: ":").last
    return "\(ProcessInfo.processInfo.activeProcessorCount) cores,\(model ?? " unknown")"
  }
  private var date: String {
    let formatter = ISO8601DateFormatter()
    formatter.formatOptions = .withFullDate
    return formatter.string(from: Date())
  }
}

extension [Double] {
  var median: Double {
    guard !isEmpty else { return 0 }
    let sorted = sorted()
    return count % 2 == 1 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2
  }
}

extension Double {
  func formatted(_ digits: Int) -> String { String(format: "%.\(digits)f", self) }
  /// With two decimals, or three for small values.
  var microseconds: String { formatted(self < 0.2 ? 3 : 2) }
}
