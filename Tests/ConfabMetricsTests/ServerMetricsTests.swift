import Confab
import ConfabChat
import ConfabMetrics
import ConfabTestSupport
import MetricsTestKit
import Testing

struct ServerMetricsTests {
  @Test func reportsMetricsUntilItsTaskIsCancelled() async throws {
    let metrics = TestMetrics()
    let server = try Chat().makeServer(Configuration(port: 0))
    try server.start()
    let telling = Task { try await ServerMetrics(of: server, every: .seconds(3600), factory: metrics).run() }
    try await blocking {
      let client = try RawClient(port: server.port)
      try client.send("hello")
      #expect(try client.receive() == .text("hello"))
    }
    server.stop()
    await server.waitUntilStopped()
    telling.cancel()
    try await telling.value

    #expect(try metrics.expectCounter("confab_messages_received_total").totalValue == 1)
    #expect(try metrics.expectCounter("confab_deliveries_total").totalValue == 1)
    #expect(try metrics.expectCounter("confab_connections_accepted_total").totalValue == 1)
    #expect(try metrics.expectCounter("confab_rejections_total", [("reason", "idle")]).totalValue == 0)
    #expect(try metrics.expectGauge("confab_connections").lastValue == 0)
    #expect(try metrics.expectTimer("confab_delivery_latency").values.count == 1)
  }
}
