internal import Synchronization

/// Counts of an event loop's work. The loop counts without locks on its thread, and publishes a copy in each sweep.
struct Counters {
  var messages = 0
  var receivedBytes = 0
  var deliveries = 0
  var sentBytes = 0
  /// Bytes in the outboxes of its connections.
  var outboxBytes = 0
  /// Bytes of ``outboxBytes`` that have been added to ``Backlogs/bytes``.
  fileprivate var countedOutboxBytes = 0
  /// Bytes in the outboxes and unread bytes of logs, as of the last sweep.
  fileprivate(set) var backlog = 0
  var latency = Latency()
  /// Delay of the sweeps. A long delay decays by a tenth with each later sweep.
  var lag = Duration.zero
  /// Time of the next sweep, in nanoseconds of ``monotonicTime()``. Nil when the loop does not run.
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
  /// Maximum backlog of a client at present: the smaller one of ``Configuration/maxBacklog`` and the memory that is
  /// left of ``Configuration/maxTotalBacklog``. All clients share this memory, so clients with the largest backlogs are
  /// evicted first (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches").
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
