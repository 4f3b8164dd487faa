import Testing

@testable import Confab

struct RateMeterTests {
  @Test func a_fragment_counts_as_eight_kilobytes_at_least() {
    var configuration = Configuration()
    (configuration.maxMessageRate, configuration.maxByteRate) = (0, 80 << 10)
    let meter = RateMeter(configuration, now: 0)
    for _ in 0..<10 { #expect(meter.takePiece(of: 0, endsFragment: true, endsMessage: false, now: 0) == nil) }
    #expect(meter.takePiece(of: 0, endsFragment: true, endsMessage: true, now: 0) == .byteRate)
    #expect(meter.readableAt == 100)
  }

  @Test func reportsTheExceededRate() {
    var configuration = Configuration()
    (configuration.maxMessageRate, configuration.maxByteRate, configuration.maxPingRate) = (2, 1000, 1)
    let meter = RateMeter(configuration, now: 0)
    #expect(meter.takePiece(of: 400, endsMessage: true, now: 0) == nil)
    #expect(meter.takePiece(of: 400, endsMessage: false, now: 0) == nil)
    #expect(meter.takePiece(of: 400, endsMessage: false, now: 0) == .byteRate)
    #expect(meter.readableAt == 200)
    #expect(meter.takePiece(of: 0, endsMessage: true, now: 300) == nil)
    #expect(meter.takePiece(of: 0, endsMessage: true, now: 300) == .messageRate)
    #expect(meter.readableAt == 500)
    #expect(meter.takePing(now: 300) == nil)
    #expect(meter.takePing(now: 300) == .pingRate)
    #expect(meter.readableAt == 1300)
  }
}
