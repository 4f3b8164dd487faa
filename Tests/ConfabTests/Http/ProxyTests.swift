import Testing

@testable import Confab

struct ProxyTests {
  /// Parses a header in pieces of at most `size` bytes. Returns its content and the number of bytes read.
  private func read(_ bytes: [UInt8], inPiecesOf size: Int) -> (String, Int) {
    var header = ProxyHeader()
    var position = 0
    while case .needs(let count) = header.state, position < bytes.count {
      let piece = bytes[position..<min(position + min(count, size), bytes.count)]
      header.append(Array(piece).span)
      position += piece.count
    }
    return switch header.state {
    case .needs: ("needs more", position)
    case .whole(let client): (client?.endpoint ?? "nobody", position)
    case .malformed(let reason): (reason, position)
    }
  }

  @Test(arguments: [
    (Array("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n".utf8), "192.0.2.1:1"),
    (Array("PROXY TCP6 2001:db8::1 ::1 65535 2\r\n".utf8), "[2001:db8::1]:65535"),
    (Array("PROXY UNKNOWN\r\n".utf8), "nobody"),
    (header(0x21, 0x11, [192, 0, 2, 1, 10, 0, 0, 1, 1, 2, 0, 80]), "192.0.2.1:258"),
    (header(0x21, 0x11, [192, 0, 2, 1, 10, 0, 0, 1, 1, 2, 0, 80, 4, 0, 1, 9]), "192.0.2.1:258"),
    (header(0x20, 0x11, [192, 0, 2, 1, 10, 0, 0, 1, 1, 2, 0, 80]), "nobody"),
    (header(0x21, 0x00, []), "nobody"),
  ])
  func readsNothingAfterTheHeader(_ bytes: [UInt8], _ client: String) {
    for size in [1, 5, 16, 10_000] {
      let found = read(bytes + Array("GET / HTTP/1.1\r\n".utf8), inPiecesOf: size)
      #expect(found == (client, bytes.count))
    }
    for count in 0..<bytes.count { #expect(read(Array(bytes[..<count]), inPiecesOf: 7) == ("needs more", count)) }
  }

  @Test func rejectsInvalidHeaderAtTheFirstWrongByte() {
    #expect(read(Array("GET / HTTP/1.1\r\n".utf8), inPiecesOf: 1).1 == 1)
    #expect(read(header(0x31, 0x11, []), inPiecesOf: 100).0 == "version and command are 49")
    #expect(read(header(0x21, 0x11, [1, 2, 3]), inPiecesOf: 100).0 == "too short for its addresses")
    #expect(read(header(0x21, 0x11, .init(repeating: 0, count: 5000)), inPiecesOf: 100).1 == 16)
    #expect(read(Array(("PROXY " + String(repeating: "x", count: 200)).utf8), inPiecesOf: 100).1 == 107)
  }

  @Test(arguments: ["\u{301}AAAAAAAAAAAA", "TCP4\u{301} 192.0.2.1 192.0.2.2 1 2", "\u{600} x y z 1 2"])
  func rejects_proxy_line_that_is_not_ascii(_ rest: String) {
    #expect(read(Array("PROXY \(rest)\r\n".utf8), inPiecesOf: 100).0 == "a line that is not ASCII")
  }

  /// U+0600 and U+0301 form one character with an adjacent comma.
  @Test(arguments: ["", "1.2.3.4", "1.2.3.4\u{600}", "\u{600}", "\u{301}", "1.2.3.4,\u{301}", "x", "::1%lo", "\0"])
  func the_address_that_the_proxy_appends_is_the_clients(_ forged: String) {
    let trusted = [AddressRange("10.0.0.0/8")!]
    #expect(trusted.client(forwardedFor: forged + ", 192.0.2.7")?.host == "192.0.2.7")
    #expect(trusted.client(forwardedFor: forged + ",192.0.2.7, 10.0.0.1")?.host == "192.0.2.7")
  }

  @Test(arguments: ["unknown", "192.0.2.1\0", "192.0.2.005", "\"192.0.2.1\"", "192.0.2.1 x", ",", "\u{301}"])
  func unreadable_forwarded_address_names_no_client(_ list: String) {
    let trusted = [AddressRange("10.0.0.0/8")!]
    #expect(trusted.client(forwardedFor: list) == nil)
    #expect(trusted.client(forwardedFor: "192.0.2.9, \(list), 10.0.0.1") == nil || list == ",")
  }

  @Test func networkContainsAddressesWithItsPrefix() {
    func contains(_ range: String, _ address: String) -> Bool? {
      AddressRange(range).map { $0.contains(SocketAddress(numeric: address, port: 1)!) }
    }
    #expect(contains("10.0.0.0/8", "10.255.0.1") == true && contains("10.0.0.0/8", "11.0.0.1") == false)
    #expect(contains("10.1.2.3", "10.1.2.3") == true && contains("10.1.2.3", "10.1.2.2") == false)
    #expect(contains("10.1.2.128/25", "10.1.2.129") == true && contains("10.1.2.128/25", "10.1.2.127") == false)
    #expect(contains("0.0.0.0/0", "1.2.3.4") == true && contains("0.0.0.0/0", "::1") == false)
    #expect(contains("2001:db8::/33", "2001:db8:7fff::1") == true)
    #expect(contains("2001:db8::/33", "2001:db8:8000::1") == false)
    #expect(contains("::ffff:10.0.0.0", "10.0.0.0") == true)
    #expect(contains("::ffff:10.0.0.0/104", "10.1.0.0") == true && contains("::ffff:10.0.0.0/104", "11.0.0.0") == false)
    #expect(contains("::/0", "::1") == true && contains("::/0", "10.0.0.0") == false)
    #expect(contains("2001:db8::1", "2001:db8::1") == true && contains("2001:db8::1", "2001:db8::2") == false)
    for text in [
      "::ffff:10.0.0.0/95", "", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0/8", "::/129", "a/8",
      "10.0.0.0/8/8",
    ] {
      #expect(AddressRange(text) == nil, "\(text)")
    }
  }

  @Test func latenciesAreCountedInBuckets() {
    var latency = Latency()
    latency.note(100_000, count: 2)
    latency.note(100_001, count: 1)
    latency.note(5_000_000_000, count: 1)
    #expect(latency.counts == [2, 1] + Array(repeating: 0, count: 10) + [1])
    #expect((latency + latency).count == 8 && latency.sum == .nanoseconds(5_000_300_001))
  }
}

private func header(_ command: UInt8, _ family: UInt8, _ rest: [UInt8]) -> [UInt8] {
  Array("\r\n\r\n\0\r\nQUIT\n".utf8) + [command, family, UInt8(rest.count >> 8), UInt8(rest.count & 255)] + rest
}
