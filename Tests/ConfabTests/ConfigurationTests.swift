import Testing

@testable import Confab

struct ConfigurationTests {
  @Test func theDefaultsAreValid() throws {
    try Configuration().validate()
  }

  /// Every error names the setting and the value.
  @Test func errorsNameTheSetting() {
    func expect(_ message: String, _ change: (inout Configuration) -> Void) {
      var configuration = Configuration()
      change(&configuration)
      #expect(throws: ConfabError(.invalidConfiguration, message)) { try configuration.validate() }
    }
    expect("port must be 0 to 65535, not 65536") { $0.port = 65_536 }
    expect("port must be 0 to 65535, not -1") { $0.port = -1 }
    expect("loops must be 1 to 64, not 0") { $0.loops = 0 }
    expect("maxMessageSize must be 1 to 1073741824, not 0") { $0.maxMessageSize = 0 }
    expect("maxBacklog must be 0 to 1073741824, not -5") { $0.maxBacklog = -5 }
    expect("idleTimeout must be 0 to 86400 s, not 86400.001 s") { $0.idleTimeout = .milliseconds(86_400_001) }
    expect("closeTimeout must be 0 to 86400 s, not -1.500 s") { $0.closeTimeout = .milliseconds(-1500) }
    expect("closeTimeout must be 0 to 86400 s, not -0.010 s") { $0.closeTimeout = .milliseconds(-10) }
    expect("the path of a mount must not end with '/', but is '/x/'") {
      $0.mounts = [Mount(path: "/x/", directory: "/tmp")]
    }
    expect("pingInterval must be less than idleTimeout, but is 30 s with 10 s") {
      $0.idleTimeout = .seconds(10)
    }
    expect("allowedOrigins: 'example.org' is not an origin: it must be like https://example.org, null or *") {
      $0.allowedOrigins = ["https://example.org", "example.org"]
    }
  }

  @Test func subprotocolsMustBeTokens() {
    var configuration = Configuration()
    configuration.subprotocols = ["chat.v1", "not a token"]
    #expect(throws: ConfabError.self) { try configuration.validate() }
    for name in ["1.chat", String(repeating: "x", count: 63)] {
      configuration.subprotocols = [name]
      #expect(throws: ConfabError.self) { try configuration.validate() }
    }
    configuration.subprotocols = ["chat.v1"]
    #expect(throws: Never.self) { try configuration.validate() }
  }

  @Test func missingFolderIsAnError() {
    var configuration = Configuration(port: 0)
    configuration.mounts = [Mount(directory: "/no/such/folder")]
    #expect(
      throws: ConfabError(.invalidConfiguration, "mounts: there is no folder '/no/such/folder' to serve at /")
    ) { try Server(configuration) { _ in Silent() } }
  }

  @Test func takenPortIsAnError() throws {
    let first = try Server(Configuration(host: "127.0.0.1", port: 0)) { _ in Silent() }
    for loops in [1, 2] {
      var configuration = Configuration(host: "127.0.0.1", port: first.port)
      configuration.loops = loops
      #expect(
        throws: ConfabError(
          .addressInUse,
          "another program listens on http://127.0.0.1:\(first.port)/; stop it, or choose another port")
      ) { try Server(configuration) { _ in Silent() } }
    }
  }

  @Test func portZeroIsFreeOnEveryAddress() throws {
    var taken = Configuration(host: "::1", port: 0)
    taken.loops = 1
    let others = try (0..<400).map { _ in try ListeningSockets(taken) }
    defer { for bound in others { bound.close(bound.descriptors[0]) } }
    // One of thirty or so that are free on 127.0.0.1 is not on ::1.
    for _ in 0..<200 {
      let bound = try ListeningSockets(Configuration(port: 0))
      #expect(bound.addresses.count == 2)
      for descriptors in bound.descriptors { bound.close(descriptors) }
    }
  }

  @Test func unknownHostIsAnError() {
    #expect(throws: ConfabError.self) { try Server(Configuration(host: "no.such.host.invalid")) { _ in Silent() } }
  }
}

final class Silent: Handler {
  func received(_ message: Message, from connection: Connection) {}
}
