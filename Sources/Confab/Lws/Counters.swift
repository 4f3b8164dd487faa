internal import CLibwebsockets
internal import Synchronization

/// What an event loop has done. It counts without locks on its thread, and shows others how it stands in each sweep.
struct Counters {
  var messages = 0
  var receivedBytes = 0
  var deliveries = 0
  var sentBytes = 0
  /// Bytes in the outboxes of its connections.
  var outboxBytes = 0
  /// How many of these have been counted in ``Backlogs/bytes``.
  fileprivate var countedOutboxBytes = 0
  /// Those, and what is unread of logs, when a sweep has looked last.
  fileprivate(set) var backlog = 0
  var latency = Latency()
  /// How late the sweeps have been: the latest one, or a part of what an earlier one was.
  var lag = Duration.zero
  fileprivate var sweepDue: UInt64?

  static func + (one: Counters, other: Counters) -> Counters {
    var sum = one
    sum.messages += other.messages
    sum.receivedBytes += other.receivedBytes
    sum.deliveries += other.deliveries
    sum.sentBytes += other.sentBytes
    sum.backlog += other.backlog
    sum.latency = one.latency + other.latency
    sum.lag = max(one.lag, other.lag)
    return sum
  }
}

extension EventLoop {
  /// How far a client may be behind now, in bytes: what ``Configuration/maxBacklog`` and
  /// ``Configuration/maxTotalBacklog`` leave. So the memory that is left is shared by all, and those that take the most of
  /// it are evicted first (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches").
  var backlogLimit: Int { min(configuration.maxBacklog, max(0, configuration.maxTotalBacklog - Backlogs.bytes)) }

  /// Has the bytes for single clients counted, when a turn has ended.
  func countOutboxes() {
    Backlogs.add(counters.outboxBytes - counters.countedOutboxBytes)
    counters.countedOutboxBytes = counters.outboxBytes
  }

  /// A sweep begins.
  func showCounters() {
    let now = uv_hrtime()
    if let due = counters.sweepDue {
      counters.lag = max(.nanoseconds(Int64(now > due ? now - due : 0)), counters.lag * 0.9)
    }
    counters.sweepDue = now + EventLoop.sweepInterval.milliseconds * 1_000_000
    counters.backlog = counters.outboxBytes + unreadBytes
    shownCounters.withLock { $0 = counters }
  }
}

/// Nanoseconds on a clock that goes on by itself.
func monotonicTime() -> UInt64 { uv_hrtime() }
