import ConfabTestSupport
import Testing

@testable import Confab

struct ReceiveBufferTests {
  /// Fails when another version of libwebsockets has another name for these buffers: connections would then be large.
  @Test func connectionsHaveTheirsThere() async throws {
    try await withServer { server, _ in
      let clients = try (0..<64).map { _ in try RawClient(port: server.port) }
      // lws allocates it behind the handshake: who gets a pong has one.
      for client in clients {
        try client.send(9, [])
        _ = try client.receive()
      }
      #expect(ReceiveBuffer.count >= clients.count)
    }
  }
}
