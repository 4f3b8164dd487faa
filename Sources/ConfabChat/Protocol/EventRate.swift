/// So many events a second, with as many at once as a burst has: a token bucket.
struct EventRate {
  private let rate: Double
  private let burst: Double
  /// What may still come at once; less than 0 when an answer has cost more than there was.
  private var tokens: Double
  private var at: ContinuousClock.Instant

  /// - Parameters:
  ///   - rate: events in `period`; 0 is no limit.
  ///   - burst: events at once.
  init(rate: Int, per period: Duration = .seconds(1), burst: Int, now: ContinuousClock.Instant) {
    self.rate = Double(rate) / (period / .seconds(1))
    self.burst = Double(max(burst, 1))
    tokens = self.burst
    at = now
  }

  /// Takes one event. When there have been too many it is not taken: then after how many milliseconds it would be.
  mutating func take(now: ContinuousClock.Instant) -> Int? {
    if rate == 0 { return nil }
    tokens = min(burst, tokens + max(0, (now - at) / .seconds(1)) * rate)
    at = now
    guard tokens < 1 else {
      tokens -= 1
      return nil
    }
    return Int(((1 - tokens) / rate * 1000).rounded(.up))
  }

  /// Counts what has been done for an event as so many more.
  mutating func charge(_ count: Int) { if rate > 0 { tokens -= Double(count) } }
}
