/// Token bucket: limits the tokens per second, with bursts. Data that has arrived already may overdraw it. Times are in
/// milliseconds and must not decrease.
package struct TokenBucket {
  // 32 bits, because each connection has several buckets. Limits are at most 1 << 30.
  private let rate: Int32
  private let burst: Int32
  /// Number of available tokens; negative when the bucket is overdrawn.
  private var tokens: Double
  private var at: UInt64

  /// Creates a full bucket.
  ///
  /// - Parameters:
  ///   - rate: tokens per second; 0 means no limit.
  ///   - burst: tokens at once. The default is the number of tokens per second.
  ///   - now: the current time.
  package init(rate: Int, burst: Int? = nil, now: UInt64) {
    self.rate = Int32(clamping: rate)
    self.burst = Int32(clamping: burst ?? rate)
    tokens = Double(self.burst)
    at = now
  }

  /// Takes `count` tokens, even if there are fewer. Returns the time until the bucket is not overdrawn any more.
  @discardableResult
  package mutating func take(_ count: Int, now: UInt64) -> UInt64 {
    if rate == 0 { return 0 }
    refill(now)
    tokens -= Double(count)
    return delay(until: 0)
  }

  /// Takes `count` tokens and returns nil, if they are available. Otherwise takes none and returns the time until they
  /// are.
  package mutating func takeIfAvailable(_ count: Int, now: UInt64) -> UInt64? {
    if rate == 0 { return nil }
    refill(now)
    guard tokens < Double(count) else {
      tokens -= Double(count)
      return nil
    }
    return delay(until: Double(count))
  }

  private mutating func refill(_ now: UInt64) {
    tokens = min(Double(burst), tokens + Double(now - at) * Double(rate) / 1000)
    at = now
  }

  /// Returns the time until the bucket has `goal` tokens.
  private func delay(until goal: Double) -> UInt64 {
    tokens >= goal ? 0 : UInt64(((goal - tokens) * 1000 / Double(rate)).rounded(.up))
  }
}
