/// The fan-outs of an event loop: one for each form of a log that its connections have joined.
struct Fanouts {
  private var fanouts: [LogForm: Fanout] = [:]

  /// Returns the fan-out that writes `log` to the members of `loop` that have agreed to `compression`.
  mutating func find(_ log: BroadcastLog, _ compression: Compression?, on loop: EventLoop) -> Fanout {
    let form = log.form(compression)
    if let fanout = fanouts[form] { return fanout }
    let fanout = Fanout(form, on: loop)
    fanouts[form] = fanout
    return fanout
  }

  mutating func remove(_ fanout: Fanout) { fanouts[fanout.form] = nil }

  /// Bytes that the members have not been sent. Visits only members that lag.
  var unreadBytes: Int { fanouts.values.reduce(0) { $0 + $1.unreadBytes } }

  /// Evicts the members that are too far behind, also in logs that do not grow.
  func evict() {
    for fanout in fanouts.values { fanout.evictLagging() }
  }
}
