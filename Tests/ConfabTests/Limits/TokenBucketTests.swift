import Testing

@testable import Confab

struct TokenBucketTests {
  @Test func allowsABurstOfOneSecondThenTheRate() {
    var bucket = TokenBucket(rate: 100, now: 5000)
    for _ in 0..<100 {
      let wait = bucket.take(1, now: 5000)
      #expect(wait == 0)
    }
    var wait = bucket.take(1, now: 5000)
    #expect(wait == 10)
    wait = bucket.take(1, now: 5020)
    #expect(wait == 0)
    wait = bucket.take(400, now: 5020)
    #expect(wait == 4000)
    // Unused capacity is limited to one second's worth.
    wait = bucket.take(100, now: 100_000)
    #expect(wait == 0)
    wait = bucket.take(1, now: 100_000)
    #expect(wait == 10)
  }

  @Test func zeroMeansUnlimited() {
    var bucket = TokenBucket(rate: 0, now: 0)
    let wait = bucket.take(1 << 40, now: 0)
    let rejected = bucket.takeIfAvailable(1 << 40, now: 0)
    #expect(wait == 0 && rejected == nil)
  }

  @Test func givesTokensUpToTheBurstThenAtTheRate() {
    var bucket = TokenBucket(rate: 10, burst: 3, now: 0)
    var waits = (0..<4).map { _ in bucket.takeIfAvailable(1, now: 0) }
    #expect(waits == [nil, nil, nil, 100])
    waits = [60, 101, 3_600_000, 3_600_000, 3_600_000, 3_600_000].map { bucket.takeIfAvailable(1, now: $0) }
    #expect(waits == [40, nil, nil, nil, nil, 100])
  }

  @Test func givesNoTokensWhileOverdrawn() {
    var bucket = TokenBucket(rate: 10, burst: 3, now: 0)
    bucket.take(9, now: 0)
    let waits = [0, 699, 700].map { bucket.takeIfAvailable(1, now: $0) }
    #expect(waits == [700, 1, nil])
  }

  @Test func takesSeveralTokensTogetherOrNone() {
    // 30 a minute.
    var bucket = TokenBucket(rate: 30, burst: 60, now: 0)
    let waits = [0, 0, 1000, 2000].map { bucket.takeIfAvailable(60, now: $0) }
    #expect(waits == [nil, 2000, 1000, nil])
  }
}
