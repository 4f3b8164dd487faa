import Confab

/// A server's statistics in Prometheus's text format, version 0.0.4.
struct Metrics {
  private(set) var text = ""

  init(_ statistics: Statistics, rooms: Int) {
    add("connections", .gauge, "Connections that there are now.", statistics.connections)
    add("rooms", .gauge, "Rooms that somebody is in.", rooms)
    add("connections_accepted_total", .counter, "Connections that have been let in.", statistics.accepted)
    add("messages_received_total", .counter, "Messages that have been received.", statistics.messages)
    add("received_bytes_total", .counter, "Bytes of their payload.", statistics.receivedBytes)
    add("deliveries_total", .counter, "Messages, each as often as there were clients to get it.", statistics.deliveries)
    add("sent_bytes_total", .counter, "Bytes of messages that have been sent.", statistics.sentBytes)
    let (seconds, attoseconds) = statistics.loopLag.components
    add(
      "loop_lag_seconds", .gauge, "How late the event loops are.", Double(seconds) + Double(attoseconds) / 1e18)
    head("refusals_total", .counter, "What has been refused, ended or slowed down, by reason.")
    for refusal in Refusal.allCases {
      text += "confab_refusals_total{reason=\"\(refusal.rawValue)\"} \(statistics.refusals[refusal] ?? 0)\n"
    }
  }

  private enum Kind: String { case counter, gauge }

  private mutating func add(_ name: String, _ kind: Kind, _ help: String, _ value: some CustomStringConvertible) {
    head(name, kind, help)
    text += "confab_\(name) \(value)\n"
  }

  private mutating func head(_ name: String, _ kind: Kind, _ help: String) {
    text += "# HELP confab_\(name) \(help)\n# TYPE confab_\(name) \(kind.rawValue)\n"
  }
}
