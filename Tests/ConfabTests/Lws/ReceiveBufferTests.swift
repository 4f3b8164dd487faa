import ConfabTestSupport
import Testing

@testable import Confab

struct ReceiveBufferTests {
  /// Fails when another version of libwebsockets has another name for these buffers: connections would then be large.
  @Test func connectionsHaveTheirsThere() async throws {
    try await withServer { server, _ in
      let clients = try (0..<64).map { _ in try RawClient(port: server.port) }
      #expect(ReceiveBuffer.count >= clients.count)
    }
  }
}
