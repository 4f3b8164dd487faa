/// A histogram of durations.
public struct Latency: Equatable, Sendable {
  /// Upper bounds of all buckets except the last, which has none.
  public static let bounds = limits.indices.map { Duration.nanoseconds(Int64(limits[$0])) }
  /// The ``bounds`` in nanoseconds.
  private static let limits: InlineArray<12, UInt64> = [
    100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000,
    250_000_000, 1_000_000_000,
  ]

  /// The number of values in each bucket, one bucket more than there are ``bounds``.
  public var counts: [Int] { buckets.indices.map { buckets[$0] } }
  /// The total number of values.
  public var count: Int { counts.reduce(0, +) }
  /// The sum of all values.
  public var sum: Duration { .nanoseconds(total) }

  private var buckets = InlineArray<13, Int>(repeating: 0)
  private var total: Int64 = 0

  /// An empty histogram.
  public init() {}

  /// Adds `count` values of that many nanoseconds.
  mutating func note(_ nanoseconds: UInt64, count: Int) {
    var bucket = 0
    while bucket < Latency.limits.count, nanoseconds > Latency.limits[bucket] { bucket += 1 }
    buckets[bucket] += count
    total &+= Int64(clamping: nanoseconds) &* Int64(count)
  }

  static func + (one: Latency, other: Latency) -> Latency {
    var sum = one
    for bucket in sum.buckets.indices { sum.buckets[bucket] += other.buckets[bucket] }
    sum.total &+= other.total
    return sum
  }

  /// Returns whether both histograms have the same counts and sum.
  public static func == (one: Latency, other: Latency) -> Bool {
    one.counts == other.counts && one.total == other.total
  }
}
