internal import Synchronization

/// Counts of what an event loop has done. The loop counts without locks on its thread, and publishes a copy in each
/// sweep.
struct Counters {
  var messages = 0
  var receivedBytes = 0
  var deliveries = 0
  var sentBytes = 0
  /// Bytes in the outboxes of its connections.
  var outboxBytes = 0
  /// Bytes of these that have been added to ``Backlogs/bytes``.
  fileprivate var countedOutboxBytes = 0
  /// Bytes in the outboxes and unread bytes of logs, as of the last sweep.
  fileprivate(set) var backlog = 0
  var latency = Latency()
  /// Delay of the sweeps: that of the latest one, or of an earlier one, less a tenth for each sweep since.
  var lag = Duration.zero
  /// When the next sweep is due, in nanoseconds of ``monotonicTime()``. Nil when the loop does not run.
  fileprivate var sweepDue: UInt64?

  /// Time for which a sweep has been overdue.
  fileprivate var stall: Duration {
    let now = monotonicTime()
    return .nanoseconds(Int64(sweepDue.map { now > $0 ? now - $0 : 0 } ?? 0))
  }
}

extension Statistics {
  /// Adds the counts and the delay of a loop.
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
  /// Maximum number of bytes that a client may be behind now: what ``Configuration/maxBacklog`` and
  /// ``Configuration/maxTotalBacklog`` leave. All clients share the memory that is left, so those that take the most of
  /// it are evicted first (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches").
  var backlogLimit: Int { min(configuration.maxBacklog, backlogMemory) }

  /// Bytes of ``Configuration/maxTotalBacklog`` that are left.
  var backlogMemory: Int { max(0, configuration.maxTotalBacklog - Backlogs.bytes) }

  /// Adds the change of the outboxes to ``Backlogs/bytes``. Called when a turn has ended, and when unread bytes
  /// were copied.
  func countOutboxes() {
    Backlogs.add(counters.outboxBytes - counters.countedOutboxBytes)
    counters.countedOutboxBytes = counters.outboxBytes
  }

  /// Publishes the counters. Called when a sweep begins.
  func publishCounters() {
    let now = monotonicTime()
    if let due = counters.sweepDue {
      counters.lag = max(.nanoseconds(Int64(now > due ? now - due : 0)), counters.lag * 0.9)
    }
    counters.sweepDue = now + IdleSweep.interval.milliseconds * 1_000_000
    counters.backlog = counters.outboxBytes + fanouts.unreadBytes
    publishedCounters.withLock { $0 = counters }
  }

  /// Publishes the counters when the loop has ended.
  func publishLastCounters() {
    publishCounters()
    publishedCounters.withLock { $0.sweepDue = nil }
  }
}
