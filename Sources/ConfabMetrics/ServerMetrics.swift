public import Confab
public import CoreMetrics
public import ServiceLifecycle

/// Passes a server's statistics to swift-metrics at an interval.
///
/// ```swift
/// let metrics = ServerMetrics(of: server, every: .seconds(10))
/// try await ServiceGroup(services: [metrics, server], gracefulShutdownSignals: [.sigterm], logger: logger).run()
/// ```
///
/// The names are those of the program's `/metrics` with the prefix `confab_`. Totals are counters, which get the
/// increase since the last interval; other values are gauges. `confab_rejections_total` has the dimension `reason`.
/// `confab_delivery_latency` is a timer that gets the mean of the deliveries since the last interval, if there were
/// any. `Statistics/deliveryLatency` has the histogram.
public struct ServerMetrics: Service {
  private let server: Server
  private let interval: Duration
  private let factory: any MetricsFactory

  /// Creates metrics of `server`, passed to `factory` every `interval`. The default factory is that of the program's
  /// metrics system.
  public init(of server: Server, every interval: Duration = .seconds(10), factory: (any MetricsFactory)? = nil) {
    (self.server, self.interval) = (server, interval)
    self.factory = factory ?? MetricsSystem.factory
  }

  /// Passes metrics until the task is cancelled or a service group shuts down, and then once more.
  public func run() async throws {
    await cancelWhenGracefulShutdown {
      var emitter = Emitter(factory)
      while !Task.isCancelled {
        emitter.tell(server.statistics)
        try? await Task.sleep(for: interval)
      }
      emitter.tell(server.statistics)
    }
  }
}

/// Metrics with the statistics that were passed last.
private struct Emitter {
  private let counters: [(metric: Statistics.Metric, counter: Counter)]
  private let gauges: [(metric: Statistics.Metric, gauge: Gauge)]
  private let rejections: [(reason: RejectionReason, counter: Counter)]
  private let latency: Timer
  private var told = Statistics.none

  init(_ factory: any MetricsFactory) {
    counters = Statistics.metrics.filter(\.isTotal).map {
      ($0, Counter(label: "confab_\($0.name)", dimensions: [], factory: factory))
    }
    gauges = Statistics.metrics.filter { !$0.isTotal }.map {
      ($0, Gauge(label: "confab_\($0.name)", dimensions: [], factory: factory))
    }
    rejections = RejectionReason.allCases.map {
      ($0, Counter(label: "confab_rejections_total", dimensions: [("reason", $0.rawValue)], factory: factory))
    }
    latency = Timer(label: "confab_delivery_latency", dimensions: [], factory: factory)
  }

  mutating func tell(_ now: Statistics) {
    for (metric, gauge) in gauges { gauge.record(metric.value(now)) }
    for (metric, counter) in counters { counter.increment(by: Int(metric.value(now) - metric.value(told))) }
    for (reason, counter) in rejections {
      let count = now.rejections[reason, default: 0] - told.rejections[reason, default: 0]
      if count > 0 { counter.increment(by: count) }
    }
    let count = now.deliveryLatency.count - told.deliveryLatency.count
    let sum = now.deliveryLatency.sum - told.deliveryLatency.sum
    if count > 0 { latency.recordNanoseconds(Int64(sum / .nanoseconds(1)) / Int64(count)) }
    told = now
  }
}
