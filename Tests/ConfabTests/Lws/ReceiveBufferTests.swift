import ConfabTestSupport
import Testing

@testable import Confab

struct ReceiveBufferTests {
  /// Fails when libwebsockets renames these buffers: memory per connection would then rise.
  @Test func everyConnectionHasAReceiveBuffer() async throws {
    try await withServer { server, _ in
      let clients = try (0..<64).map { _ in try RawClient(port: server.port) }
      // lws allocates the buffer after the handshake: a connection that gets a pong has one.
      for client in clients {
        try client.send(9, [])
        _ = try client.receive()
      }
      #expect(ReceiveBuffer.count >= clients.count)
    }
  }
}
