import Testing

@testable import Confab

struct CloseCodeTests {
  /// RFC 6455, section 7.4, and IANA's WebSocket Close Code Number Registry.
  @Test func onlyValidCodesAreSendable() {
    let sendable = (0...UInt16.max).filter { CloseCode(rawValue: $0).isSendable }
    #expect(sendable == Array(1000...1003) + Array(1007...1014) + Array(3000...4999))
  }

  @Test func reasonsAreTruncatedBetweenCharacters() {
    #expect("short".prefix(utf8Count: 123) == "short")
    let long = String(repeating: "群", count: 50)
    #expect(long.prefix(utf8Count: 123) == String(repeating: "群", count: 41))
    #expect(("a" + long).prefix(utf8Count: 123).utf8.count == 121)
    #expect("👩‍👩‍👧‍👦".prefix(utf8Count: 10) == "")
  }
}
