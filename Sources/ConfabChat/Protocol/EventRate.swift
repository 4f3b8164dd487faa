/// Token bucket that limits the events per period, with bursts.
struct EventRate {
  private let rate: Double
  private let burst: Double
  /// Number of events that are allowed now; negative when a response has cost more than was left.
  private var tokens: Double
  private var at: ContinuousClock.Instant

  /// - Parameters:
  ///   - rate: events in `period`; 0 means no limit.
  ///   - burst: events at once.
  init(rate: Int, per period: Duration = .seconds(1), burst: Int, now: ContinuousClock.Instant) {
    self.rate = Double(rate) / (period / .seconds(1))
    self.burst = Double(max(burst, 1))
    tokens = self.burst
    at = now
  }

  /// Takes one event and returns nil. If the limit is exceeded, takes none and returns the delay in ms after which it
  /// would be allowed.
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

  /// Charges `count` additional events for the work that an event has caused.
  mutating func charge(_ count: Int) { if rate > 0 { tokens -= Double(count) } }
}
