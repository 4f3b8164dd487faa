/// How long something has taken, as a histogram.
public struct Latency: Equatable, Sendable {
  /// The upper bounds of all buckets but the last, which has none.
  public static let bounds = limits.indices.map { Duration.nanoseconds(Int64(limits[$0])) }
  /// The same in nanoseconds.
  private static let limits: InlineArray<12, UInt64> = [
    100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000,
    250_000_000, 1_000_000_000,
  ]

  /// How many there have been in each bucket, one more than there are ``bounds``.
  public var counts: [Int] { buckets.indices.map { buckets[$0] } }
  /// How many there have been in all.
  public var count: Int { counts.reduce(0, +) }
  /// How long they have taken in all.
  public var sum: Duration { .nanoseconds(total) }

  private var buckets = InlineArray<13, Int>(repeating: 0)
  private var total: Int64 = 0

  /// Nothing yet.
  public init() {}

  /// Notes that `count` have taken so many nanoseconds.
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

  /// Whether they are the same.
  public static func == (one: Latency, other: Latency) -> Bool {
    one.counts == other.counts && one.total == other.total
  }
}
