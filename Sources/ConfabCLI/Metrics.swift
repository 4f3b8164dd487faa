import Confab
import ConfabChat

/// A server's statistics in Prometheus's text format, version 0.0.4.
struct Metrics {
  private(set) var text = ""

  init(_ statistics: Statistics, _ chat: Chat) {
    for metric in Statistics.metrics {
      add(metric.name, metric.isTotal ? .counter : .gauge, metric.help, metric.value(statistics))
    }
    add("rooms", .gauge, "Rooms with at least one client.", Double(chat.occupancy.count))
    add("history_bytes", .gauge, "Memory for the history of all rooms.", Double(chat.historyBytes))
    add(
      "history_kept", .gauge, "0 while the file of --history cannot be written, otherwise 1.",
      chat.engine.isStored ? 1 : 0)
    head("rejections_total", .counter, "Rejected requests, closed connections and slowed-down clients, by reason.")
    for reason in RejectionReason.allCases {
      text += "confab_rejections_total{reason=\"\(reason.rawValue)\"} \(statistics.rejections[reason] ?? 0)\n"
    }
    head("chat_errors_total", .counter, "Errors sent to clients of the rich protocol, by code.")
    for (code, count) in chat.errorCounts.sorted(by: { $0.key < $1.key }) {
      text += "confab_chat_errors_total{code=\"\(code)\"} \(count)\n"
    }
    add(
      "delivery_latency_seconds",
      "Time from publishing a message until it is handed to the kernel, once for each client that keeps up.",
      statistics.deliveryLatency)
  }

  private enum Kind: String { case counter, gauge, histogram }

  private mutating func add(_ name: String, _ kind: Kind, _ help: String, _ value: Double) {
    head(name, kind, help)
    // Whole numbers have no decimals.
    text += "confab_\(name) \(Int(exactly: value).map { "\($0)" } ?? "\(value)")\n"
  }

  private mutating func add(_ name: String, _ help: String, _ latency: Latency) {
    head(name, .histogram, help)
    var count = 0
    for (index, one) in latency.counts.enumerated() {
      count += one
      let bound = index < Latency.bounds.count ? "\(Latency.bounds[index] / .seconds(1))" : "+Inf"
      text += "confab_\(name)_bucket{le=\"\(bound)\"} \(count)\n"
    }
    text += "confab_\(name)_sum \(latency.sum / .seconds(1))\nconfab_\(name)_count \(count)\n"
  }

  private mutating func head(_ name: String, _ kind: Kind, _ help: String) {
    text += "# HELP confab_\(name) \(help)\n# TYPE confab_\(name) \(kind.rawValue)\n"
  }
}
