/// So much a second, with as much at once: a token bucket that may be overdrawn by what has come already.
struct TokenBucket {
  private let rate: Int
  /// What may still come; less than 0 when too much has.
  private var tokens: Double
  private var at: UInt64

  /// - Parameters:
  ///   - rate: how much a second; 0 is no limit.
  ///   - now: milliseconds.
  init(rate: Int, now: UInt64) {
    self.rate = rate
    tokens = Double(rate)
    at = now
  }

  /// Takes `count`, and tells for how many milliseconds nothing more should come.
  mutating func take(_ count: Int, now: UInt64) -> UInt64 {
    if rate == 0 { return 0 }
    tokens = min(Double(rate), tokens + Double(now - at) * Double(rate) / 1000) - Double(count)
    at = now
    return tokens >= 0 ? 0 : UInt64((-tokens * 1000 / Double(rate)).rounded(.up))
  }
}

/// What one peer sends, measured against the limits of rates.
final class RateMeter {
  private var messages: TokenBucket
  private var bytes: TokenBucket
  private var pings: TokenBucket
  /// When the peer may be read again, in the loop's milliseconds.
  private(set) var readableAt: UInt64 = 0

  init(_ configuration: Configuration, now: UInt64) {
    messages = TokenBucket(rate: configuration.maxMessageRate, now: now)
    bytes = TokenBucket(rate: configuration.maxByteRate, now: now)
    pings = TokenBucket(rate: configuration.maxPingRate, now: now)
  }

  /// A fragment counts as so many bytes at least, so that as many may come as messages: an empty one takes as long.
  static let minFragment = 8 << 10

  /// A piece of a message has come. Tells the rate that it exceeds.
  func takePiece(of count: Int, endsFragment: Bool = false, endsMessage: Bool, now: UInt64) -> Refusal? {
    let byBytes = bytes.take(endsFragment ? max(count, RateMeter.minFragment) : count, now: now)
    let byMessages = endsMessage ? messages.take(1, now: now) : 0
    readableAt = max(readableAt, now + max(byBytes, byMessages))
    if byMessages > 0 { return .messageRate }
    return byBytes > 0 ? .byteRate : nil
  }

  /// A ping has come.
  func takePing(now: UInt64) -> Refusal? {
    let wait = pings.take(1, now: now)
    readableAt = max(readableAt, now + wait)
    return wait > 0 ? .pingRate : nil
  }
}
