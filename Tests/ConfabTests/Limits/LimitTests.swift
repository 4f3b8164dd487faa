import Foundation
import Testing

@testable import Confab

struct LimitTests {
  @Test func limitHasAnOptionAndATextForItsValue() throws {
    func limit(_ name: String) throws -> Limit<Configuration> {
      try #require(Configuration.limits.first { $0.name == name })
    }
    var configuration = Configuration()
    configuration.idleTimeout = .milliseconds(1500)
    #expect(try limit("maxByteRate").option == "max-byte-rate" && limit("drainTime").option == "drain")
    #expect(
      try limit("maxByteRate").text(configuration) == "4MiB" && limit("maxFragments").text(configuration) == "16384")
    #expect(try limit("idleTimeout").text(configuration) == "1.500 s")
    #expect(try limit("maxPingRate").text.hasSuffix("at this rate. 0 means no limit."))
  }

  @Test func printableTextIsOneLineWithoutControlCharacters() {
    #expect("a\r\nb\u{1B}[31m\u{202E}ü🙂".printable == "a\u{FFFD}\u{FFFD}b\u{FFFD}[31m\u{FFFD}ü🙂")
    #expect(String(repeating: "x", count: 5000).printable == String(repeating: "x", count: 200) + "…")
  }

  @Test func addressesAreCountedAndForgotten() throws {
    let networks = try ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map { try address($0).network }
    var table = AddressTable()
    let first = table.add(networks[0], upTo: 2)
    let again = table.add(networks[0], upTo: 2)
    let tooMany = table.add(networks[0], upTo: 2)
    let other = table.add(networks[1], upTo: 2)
    #expect((first, again, tooMany, other) == (0, 0, nil, 1))
    table.remove(at: 0)
    table.remove(at: 0)
    let new = table.add(networks[2], upTo: 2)
    #expect(new == 0)
  }

  @Test func networkIsAnIPv4AddressOr64BitsOfAnIPv6Address() throws {
    func network(_ text: String) throws -> SocketAddress.Network { try address(text).network }
    #expect(try network("2001:db8::1") == network("2001:db8::ffff:ffff:ffff:ffff"))
    #expect(try network("2001:db8::1") != network("2001:db8:0:1::1"))
    #expect(try network("192.0.2.1") == network("::ffff:192.0.2.1"))
    #expect(try network("192.0.2.1") != network("192.0.2.2"))
    // The same bytes, and inverted ones.
    #expect(try network("32.1.13.184") != network("2001:db8::1"))
    #expect(try network("223.254.242.71") != network("2001:db8:ffff:ffff::1"))
  }

  @Test func debtStaysWithItsAddressWhenTheTicketIsReused() throws {
    let admission = Admission(Configuration())
    let first = try admission.admit(address("192.0.2.1"))
    admission.leave(first)
    let other = try admission.admit(address("192.0.2.2"))
    let again = try admission.admit(address("192.0.2.1"))
    #expect(other.address != first.address && again.address == first.address)
    #expect(![Admission.Ticket.exempt.address, Admission.Ticket.internal.address].contains(first.address))
  }

  private func address(_ text: String) throws -> SocketAddress { try #require(SocketAddress(numeric: text, port: 1)) }
}
