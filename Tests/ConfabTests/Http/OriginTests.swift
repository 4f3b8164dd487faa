import Testing

@testable import Confab

struct OriginTests {
  @Test(arguments: [
    ("", "chat.example.org", true),
    ("null", "chat.example.org", false), ("file://", "chat.example.org", false),
    ("http://chat.example.org", "chat.example.org", true),
    ("http://chat.example.org", "chat.example.org:80", true),
    ("http://Chat.Example.Org", "chat.example.org", true),
    ("https://chat.example.org", "chat.example.org", true),
    ("https://chat.example.org", "chat.example.org:443", true),
    ("https://chat.example.org", "chat.example.org:80", false),
    ("http://chat.example.org:8080", "chat.example.org:8080", true),
    ("http://chat.example.org", "chat.example.org:8080", false),
    ("http://[2001:db8::1]:8080", "[2001:db8::1]:8080", true),
    ("http://localhost:8080", "chat.example.org:8080", false),
    ("https://app.example.com", "chat.example.org", true),
    ("https://app.example.com:443", "chat.example.org", true),
    ("http://app.example.com", "chat.example.org", false),
    ("http://chat.example.org", "", false),
  ])
  func publicListenerAcceptsPagesOfItsHost(_ origin: String, _ host: String, isLetIn: Bool) {
    let policy = OriginPolicy(
      allowed: ["https://app.example.com"], isRequired: false, listensOnLoopbackOnly: false)
    // An empty string stands for a missing header.
    let (origin, host) = (origin.isEmpty ? nil : origin, host.isEmpty ? nil : host)
    #expect(policy.admits(origin: origin, host: host, isLocal: true) == isLetIn)
  }

  @Test(arguments: [
    ("null", true), ("file://", true), ("file:///", false),
    ("http://localhost", true), ("https://dev.localhost:3000", true), ("http://127.1.2.3:80", true),
    ("http://[::1]", true), ("http://127.0.0.1.example.org", false), ("http://example.org", false),
    ("http://127.0.0.256", false), ("http://localhost.example.org", false), ("http://127.0.0.1:99999", false),
    ("http://user@localhost", false), ("javascript://localhost/", false),
  ])
  func loopbackListenerAcceptsPagesOfThisMachine(_ origin: String, isLetIn: Bool) {
    let policy = OriginPolicy(allowed: [], isRequired: true, listensOnLoopbackOnly: true)
    #expect(policy.admits(origin: origin, host: "localhost", isLocal: true) == isLetIn)
    #expect(!policy.admits(origin: nil, host: "localhost", isLocal: true))
    // A client that a proxy names.
    #expect(!policy.admits(origin: origin, host: "localhost", isLocal: false))
  }

  /// A browser sends cookies for every page, so pages of other servers on this machine do not count.
  @Test(arguments: [
    ("http://localhost:8080", "localhost:8080", true), ("http://localhost:9999", "localhost:8080", false),
    ("http://evil.localhost", "localhost:8080", false), ("https://127.9.9.9:1", "127.0.0.1:8080", false),
    ("http://example.org:8080", "example.org:8080", false), ("https://app.example.com:443", "localhost:8080", true),
    ("null", "localhost:8080", false), ("file://", "localhost:8080", false),
  ])
  func cookies_count_from_own_pages_only(_ origin: String, _ host: String, counts: Bool) {
    for allowed in [["https://app.example.com"], ["https://app.example.com", "*"]] {
      let policy = OriginPolicy(allowed: allowed, isRequired: false, listensOnLoopbackOnly: true)
      #expect(policy.admitsByName(origin, host: host) == counts)
    }
  }

  @Test func parsesAuthorityWithOptionalPort() throws {
    for (text, host, port) in [
      ("example.org", "example.org", nil), ("EXAMPLE.org:80", "example.org", 80), ("[::1]:1", "[::1]", 1),
      ("[::1]", "[::1]", nil),
    ] as [(String, String, Int?)] {
      let authority = try #require(Authority(text))
      #expect((authority.host, authority.port) == (host, port))
    }
  }

  @Test(arguments: [
    "", ":80", "a b", "a:", "a:b", "a:65536", "a:-1", "a:+1", "[::1", "[::1]x", "a/b", "a@b", "a:1:2", "ä", "\u{212A}",
  ])
  func rejectsInvalidAuthority(_ text: String) {
    #expect(Authority(text) == nil)
  }
}
