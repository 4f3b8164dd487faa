/// The rates of one client, measured against the limits of the ``Configuration``.
final class RateMeter {
  private var messages: TokenBucket
  private var bytes: TokenBucket
  private var pings: TokenBucket
  /// The time from which the client may be read again, in the loop's milliseconds.
  private(set) var readableAt: UInt64 = 0

  init(_ configuration: Configuration, now: UInt64) {
    messages = TokenBucket(rate: configuration.maxMessageRate, now: now)
    bytes = TokenBucket(rate: configuration.maxByteRate, now: now)
    pings = TokenBucket(rate: configuration.maxPingRate, now: now)
  }

  /// Minimum number of bytes that a fragment counts for, because an empty fragment takes as much time as a message.
  static let minFragment = 8 << 10

  /// Counts a piece of a message. Returns the rate that it exceeds, if any.
  func takePiece(of count: Int, endsFragment: Bool = false, endsMessage: Bool, now: UInt64) -> RejectionReason? {
    let byBytes = bytes.take(endsFragment ? max(count, RateMeter.minFragment) : count, now: now)
    let byMessages = endsMessage ? messages.take(1, now: now) : 0
    readableAt = max(readableAt, now + max(byBytes, byMessages))
    if byMessages > 0 { return .messageRate }
    return byBytes > 0 ? .byteRate : nil
  }

  /// Counts a ping. Returns the rate that it exceeds, if any.
  func takePing(now: UInt64) -> RejectionReason? {
    let wait = pings.take(1, now: now)
    readableAt = max(readableAt, now + wait)
    return wait > 0 ? .pingRate : nil
  }
}
