/// An SVG chart of the CPU time per delivery, with a group of bars for each scenario.
struct Chart {
  private let report: Report
  private let scenarios: [Scenario]

  init(_ report: Report) {
    self.report = report
    scenarios = report.scenarios.filter { !$0.isIdle && !$0.isPaced && $0.name != "connect" }
  }

  private static let colours = ["#0b6e4f", "#e0902f", "#b0563b", "#5a6b8c", "#8a5a8c", "#777777"]

  var svg: String {
    let (left, right, bar, gap) = (250.0, 130.0, 16.0, 22.0)
    let width = 760.0
    let group = Double(report.servers.count) * bar + gap
    let height = 64 + Double(scenarios.count) * group
    var parts = [
      """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(height)" font-family="system-ui, sans-serif" \
      font-size="12">
      <rect width="100%" height="100%" fill="#fff"/>
      <text x="16" y="24" font-size="15" font-weight="600">Server CPU time for a delivery, µs; shorter is better</text>
      """
    ]
    var x = 16.0
    for (index, server) in report.servers.enumerated() {
      parts.append("<rect x=\"\(x)\" y=\"36\" width=\"10\" height=\"10\" fill=\"\(colour(index))\"/>")
      parts.append("<text x=\"\(x + 15)\" y=\"45\">\(server.escaped)</text>")
      x += 34 + 7 * Double(server.count)
    }
    for (row, scenario) in scenarios.enumerated() {
      let top = 64 + Double(row) * group
      let values = report.servers.map { report.median(scenario, $0, \.cpu) }
      // Each group has its own scale, because a delivery of 16 KiB costs much more than one of 64 bytes.
      let scale = (width - left - right) / max(values.max() ?? 1, 1e-9)
      parts.append(
        "<text x=\"\(left - 10)\" y=\"\(top + group / 2 - 4)\" text-anchor=\"end\">\(scenario.title.escaped)</text>")
      for (index, value) in values.enumerated() {
        let y = top + Double(index) * bar
        parts.append(
          "<rect x=\"\(left)\" y=\"\(y)\" width=\"\((value * scale).formatted(1))\" height=\"\(bar - 3)\" "
            + "fill=\"\(colour(index))\"/>")
        parts.append(
          "<text x=\"\((left + value * scale + 6).formatted(1))\" y=\"\(y + 11)\">\(value.formatted(2))</text>")
      }
    }
    return parts.joined(separator: "\n") + "\n</svg>\n"
  }

  private func colour(_ index: Int) -> String { Chart.colours[index % Chart.colours.count] }
}

extension String {
  fileprivate var escaped: String {
    var text = self
    for (character, entity) in [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")] {
      text = text.split(separator: character, omittingEmptySubsequences: false).joined(separator: entity)
    }
    return text
  }
}
