@testable import Confab

/// Compares ``TokenBucket`` with exact integers: it never traps, whatever the limits and the peer's data, and its waits
/// are exact within a millisecond, or a millionth.
func fuzzRates(_ input: inout Input) {
  // Limits go up to 1 << 30, see Limit.swift. A piece is at most a receive buffer, or an inflated message.
  let rate = Int128(input.integer() >> 33)
  var now = input.integer() >> 12
  var bucket = TokenBucket(rate: Int(rate), now: now)
  // In thousandths. The bucket starts with one second's worth.
  var tokens = rate * 1000
  for _ in 0..<1000 where !input.isEmpty {
    let taken = input.integer() >> UInt64(33 + input.index(below: 31))
    let passed = input.integer() >> UInt64(20 + input.index(below: 44))
    now += passed
    let wait = Int128(bucket.take(Int(taken), now: now))
    if rate == 0 {
      require(wait == 0, "a wait without a limit")
      continue
    }
    tokens = min(rate * 1000, tokens + Int128(passed) * rate) - Int128(taken) * 1000
    let exact = tokens >= 0 ? 0 : (-tokens + rate - 1) / rate
    require(abs(wait - exact) <= 1 + exact / 1_000_000, "waits \(wait) ms in place of \(exact)")
  }
}

private func abs(_ number: Int128) -> Int128 { number < 0 ? -number : number }
