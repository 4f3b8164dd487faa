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
  /// Nil when the loop does not run.
  fileprivate var sweepDue: UInt64?

  /// For how long the loop has not come to a sweep that was due.
  fileprivate var stall: Duration {
    let now = uv_hrtime()
    return .nanoseconds(Int64(sweepDue.map { now > $0 ? now - $0 : 0 } ?? 0))
  }
}

extension Statistics {
  /// Adds what a loop has done, and how it is now.
  mutating func add(_ counters: Counters) {
    messages += counters.messages
    receivedBytes += counters.receivedBytes
    deliveries += counters.deliveries
    sentBytes += counters.sentBytes
    backlog += counters.backlog
    deliveryLatency = deliveryLatency + counters.latency
    loopStall = max(loopStall, counters.stall)
    loopLag = max(loopLag, counters.lag, counters.stall)
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

  /// The loop has ended.
  func showLastCounters() {
    showCounters()
    shownCounters.withLock { $0.sweepDue = nil }
  }
}

/// Nanoseconds on a clock that goes on by itself.
func monotonicTime() -> UInt64 { uv_hrtime() }
