/// The time by which the client of an HTTP connection must make progress, in the loop's milliseconds.
struct HttpDeadline {
  private(set) var time: UInt64
  /// The end of lingering, which data from the client does not postpone.
  private var end = UInt64.max

  /// Time for the next request of a kept-alive connection to begin.
  static let idle: UInt64 = 5_000
  /// Time without progress after which a client is dropped: for a file, and for a response in memory.
  static let (file, answer): (UInt64, UInt64) = (120_000, 5_000)
  /// Maximum time of lingering: in total, and without data from the client.
  private static let (linger, silence): (UInt64, UInt64) = (30_000, 5_000)

  init(_ time: UInt64) { self.time = time }

  /// Gives the client `timeout` milliseconds from now on.
  mutating func extend(by timeout: UInt64, _ now: UInt64) { time = now + timeout }

  mutating func beginLingering(_ now: UInt64) {
    end = now + HttpDeadline.linger
    goOnLingering(now)
  }

  /// Called when a lingering client has sent data.
  mutating func goOnLingering(_ now: UInt64) { time = min(end, now + HttpDeadline.silence) }
}
