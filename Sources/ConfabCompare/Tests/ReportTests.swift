import CLoad
import Foundation
import Testing

@testable import ConfabCompare

struct ReportTests {
  private let scenario = Scenario.all[0]

  private func report(_ times: [String: [Double]]) -> Report {
    let measurements = times.flatMap { server, times in
      times.enumerated().map { round, time in
        var one = Measurement(server: server, scenario: scenario, round: round, .init())
        one.cpu = time
        one.isRight = true
        return one
      }
    }
    return Report(scenarios: [scenario], servers: ["Confab", "peer"], measurements: measurements)
  }

  @Test(arguments: [([], 0), ([3], 3), ([5, 1, 9], 5), ([4, 1, 2, 8], 3)] as [([Double], Double)])
  func medianIsTheMiddleValue(_ values: [Double], _ median: Double) { #expect(values.median == median) }

  /// Rounds are compared pairwise, so noise that affects both servers in a round cancels out.
  @Test func ratiosAreMediansOfTheRounds() {
    let report = report(["Confab": [1, 10, 3], "peer": [2, 20, 3]])
    #expect(report.ratio(scenario, to: "peer", \.cpu) == 0.5)
    #expect(report.median(scenario, "Confab", \.cpu) == 3)
    #expect(report.table.contains("geometric mean of 1 scenarios: 0.50"))
    #expect(report.table.contains("| Confab | 3.00 | 1.00 – 10.00 |"))
  }

  @Test func tableMarksWrongDeliveries() {
    var measurements = report(["Confab": [1, 1], "peer": [1, 1]]).measurements
    measurements[0].isRight = false
    let table = Report(scenarios: [scenario], servers: ["Confab", "peer"], measurements: measurements).table
    #expect(table.contains("| 1/2 |"))
    #expect(table.contains("| 2/2 |"))
  }

  @Test func chartIsWellFormedXML() throws {
    let chart = Chart(report(["Confab": [1], "peer": [2]]))
    #expect(chart.svg.hasPrefix("<svg"))
    #expect(try XMLNode.isWellFormed(chart.svg))
  }
}

private enum XMLNode {
  /// Returns whether every element is closed.
  static func isWellFormed(_ text: String) throws -> Bool {
    var open: [Substring] = []
    for match in text.matches(of: /<(\/?)([A-Za-z]+)[^>]*?(\/?)>/) {
      if !match.3.isEmpty { continue }
      if match.1.isEmpty { open.append(match.2) } else if open.popLast() != match.2 { return false }
    }
    return open.isEmpty
  }
}
