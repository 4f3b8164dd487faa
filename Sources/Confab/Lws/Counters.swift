internal import CLibwebsockets
internal import Synchronization

/// What an event loop has done. It counts without locks on its thread, and shows others how it stands in each sweep.
struct Counters {
  var messages = 0
  var receivedBytes = 0
  var deliveries = 0
  var sentBytes = 0
  /// How late the sweeps have been: the latest one, or a part of what an earlier one was.
  var lag = Duration.zero
  fileprivate var sweepDue: UInt64?

  static func + (one: Counters, other: Counters) -> Counters {
    var sum = one
    sum.messages += other.messages
    sum.receivedBytes += other.receivedBytes
    sum.deliveries += other.deliveries
    sum.sentBytes += other.sentBytes
    sum.lag = max(one.lag, other.lag)
    return sum
  }
}

extension EventLoop {
  /// A sweep begins.
  func showCounters() {
    let now = uv_hrtime()
    if let due = counters.sweepDue {
      counters.lag = max(.nanoseconds(Int64(now > due ? now - due : 0)), counters.lag * 0.9)
    }
    counters.sweepDue = now + EventLoop.sweepInterval.milliseconds * 1_000_000
    shownCounters.withLock { $0 = counters }
  }
}
