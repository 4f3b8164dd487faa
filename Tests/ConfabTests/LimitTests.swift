import Foundation
import Testing

@testable import Confab

struct LimitTests {
  @Test func everyLimitHasANameAnOptionAndADefault() {
    for limit in Configuration.limits {
      #expect(limit.option.hasPrefix("--") && limit.option == limit.option.lowercased())
      #expect(!limit.text().isEmpty && !limit.subject.isEmpty && !limit.effect.isEmpty)
    }
    #expect(Configuration.limits.first { $0.name == "maxByteRate" }?.option == "--max-byte-rate")
    #expect(Configuration.limits.first { $0.name == "maxByteRate" }?.text() == "4MiB")
    var configuration = Configuration()
    configuration.idleTimeout = .milliseconds(1500)
    #expect(Configuration.limits.first { $0.name == "idleTimeout" }?.text(configuration) == "1.500 s")
  }

  @Test func printableTextIsOneLineWithoutControlCharacters() {
    #expect("a\r\nb\u{1B}[31m\u{202E}ü🙂".printable == "a\u{FFFD}\u{FFFD}b\u{FFFD}[31m\u{FFFD}ü🙂")
    #expect(String(repeating: "x", count: 5000).printable == String(repeating: "x", count: 200) + "…")
  }

  @Test func addressesAreCountedAndForgotten() {
    var table = AddressTable()
    let first = table.add(1, upTo: 2)
    let again = table.add(1, upTo: 2)
    let tooMany = table.add(1, upTo: 2)
    let other = table.add(2, upTo: 2)
    #expect((first, again, tooMany, other) == (0, 0, nil, 1))
    table.remove(at: 0)
    table.remove(at: 0)
    let new = table.add(3, upTo: 2)
    #expect(new == 0)
  }
}
