import Confab
import ConfabTestSupport
import Logging
import Testing

/// Checks that misuse of the API traps as documented.
struct TrapTests {
  private static func makeServer() throws -> Server {
    var configuration = Configuration(host: "127.0.0.1", port: 0)
    configuration.logger.logLevel = .critical
    configuration.stopTimeout = .milliseconds(100)
    let server = try Server(configuration)
    try server.start()
    return server
  }

  @Test func loopTrapsOnAnotherThread() async {
    await #expect(processExitsWith: .failure) {
      let server = try TrapTests.makeServer()
      _ = server.loops[0].connectionCount
    }
  }

  @Test func connectionTrapsOnAnotherThread() async {
    await #expect(processExitsWith: .failure) {
      let server = try TrapTests.makeServer()
      let client = try RawClient(port: server.port)
      for try await one in server.connections {
        let connection = try await one.onLoop { $0 }
        connection.send("from elsewhere")
      }
      client.hangUp()
    }
  }

  @Test func secondTaskThatWaitsForMessagesTraps() async {
    await #expect(processExitsWith: .failure) {
      let server = try TrapTests.makeServer()
      let client = try RawClient(port: server.port)
      for try await one in server.connections {
        try await withThrowingDiscardingTaskGroup { group in
          for _ in 0..<2 { group.addTask { for try await _ in one.messages {} } }
        }
      }
      client.hangUp()
    }
  }

  /// The same calls without misuse: only the misuse ends the other processes.
  @Test func correctUseDoesNotTrap() async {
    await #expect(processExitsWith: .success) {
      let server = try TrapTests.makeServer()
      let client = try RawClient(port: server.port)
      for try await one in server.connections {
        try await one.onLoop { connection in
          connection.send("from its thread")
          precondition(connection.loop.connectionCount == 1)
        }
        break
      }
      #expect(try client.receive() == .text("from its thread"))
      server.stop()
      await server.waitUntilStopped()
    }
  }
}
