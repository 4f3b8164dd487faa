// Detection of peers that have gone without closing. An idle peer is sent a ping, and its connection is dropped if
// nothing comes back. A peer that reads slowly is not idle: while it acknowledges earlier data, its pong may be late.
//
// Connections have no timers of their own. Each sweep looks at a part of them, and all are looked at within a fraction
// of the shorter of the two timeouts.

/// Visits the connections of an event loop, a part of them in each sweep. Loop thread only.
final class IdleSweep {
  static let interval = Duration.milliseconds(250)

  /// Time of the last sweep, in milliseconds of the loop's clock, modulo 2^32.
  private(set) var time: UInt32 = 0
  private let pingInterval: UInt64
  private let idleTimeout: UInt64
  /// Index in ``ConnectionTable/all`` at which the next sweep begins.
  private var next = 0

  init(_ configuration: Configuration) {
    (pingInterval, idleTimeout) = (configuration.pingInterval.milliseconds, configuration.idleTimeout.milliseconds)
  }

  /// Sets the time of the sweep that begins.
  func begin(now: UInt64) { time = UInt32(truncatingIfNeeded: now) }

  /// Sends pings to idle peers, and drops peers that have not answered. `connections` returns the current table:
  /// dropping a connection may remove it.
  func visit(_ connections: () -> ContiguousArray<Connection>) {
    let count = connections().count
    guard let shortest = [pingInterval, idleTimeout].filter({ $0 > 0 }).min(), count > 0 else { return }
    // Each sweep looks at one of `parts` parts.
    let parts = max(1, Int(min(shortest, 64_000) / (8 * IdleSweep.interval.milliseconds)))
    if next >= count { next = 0 }
    let end = next + (count + parts - 1) / parts
    while next < min(end, connections().count) {
      let connection = connections()[next]
      next += 1
      if connection.state != .connecting && !connection.reading.isHeldByHandler { check(connection, shortest) }
    }
  }

  private func check(_ connection: Connection, _ shortest: UInt64) {
    let silence = connection.silence(atLeast: shortest)
    if pingInterval > 0 && silence >= pingInterval && connection.ping() {
      // If the process was held up, the ping is late. The peer still gets the full time to answer it.
      connection.activity.time = time &- UInt32(pingInterval)
    } else if idleTimeout > 0 && silence >= idleTimeout {
      connection.note(.idle, "idle for \(connection.loop.configuration.idleTimeout.inSeconds) s")
      connection.drop()
    }
  }
}

/// The peer's last activity.
struct Activity {
  /// Its time, see ``IdleSweep/time``.
  fileprivate var time: UInt32 = 0
  /// Bytes that the peer had acknowledged when the kernel was last asked, modulo 2^32.
  fileprivate var acknowledged: UInt32 = 0
  /// Whether a ping was sent since the last activity.
  fileprivate var isPinged = false
}

/// Returns the maximum milliseconds by which the kernel may report a known message as newer: the kernel's clock
/// advances in ticks, and the loop's clock stands still while the machine is busy. The answer to a ping is newer by
/// more.
private func clockTolerance(_ threshold: UInt64) -> UInt64 { min(250, threshold / 2) }

extension Connection {
  /// Notes that the peer has sent something.
  func noteActivity() { (activity.time, activity.isPinged) = (loop.idleSweep.time, false) }

  /// Returns the milliseconds since the peer last sent or acknowledged data. lws does not report pings, nor pongs
  /// without payload. So the kernel is asked as well, but only if no message has arrived for `threshold`. A peer that
  /// acknowledges bytes reads the data before the ping. An acknowledgement of the ping alone only shows that the peer's
  /// kernel is there, so acknowledgements count only while other bytes are outstanding.
  fileprivate func silence(atLeast threshold: UInt64) -> UInt64 {
    let now = loop.idleSweep.time
    let silence = UInt64(now &- activity.time)
    guard silence >= threshold, let kernel = socket?.kernelState else { return silence }
    let isReading = kernel.hasOutstanding && kernel.acknowledged != activity.acknowledged
    activity.acknowledged = kernel.acknowledged
    let known = isReading ? 0 : UInt64(kernel.silence)
    guard known + clockTolerance(threshold) < silence else { return silence }
    activity.time = now &- UInt32(truncatingIfNeeded: known)
    // Also while the peer reads: its answer to the last ping may have come since.
    activity.isPinged = false
    return known
  }

  /// Sends a ping (RFC 6455, section 5.5.2), once per idle period, unless the socket is blocked. All writes are whole
  /// frames, so the ping may come between any two. It has no payload, because lws would take a page of memory for the
  /// payload of the pong, see ReceiveBuffer.swift. Returns whether a ping was sent.
  fileprivate func ping() -> Bool {
    guard !activity.isPinged, state == .open, let socket, !socket.isBlocked else { return false }
    activity.isPinged = true
    if socket.write([0x89, 0].span) == .failed { drop() }
    return true
  }

  /// Counts and logs the reason why the peer is rejected, closed or slowed down.
  func note(_ reason: RejectionReason, _ detail: @autoclosure () -> String) {
    loop.admission.rejections.note(reason, socket?.peer ?? "a peer that has gone", detail())
  }
}
