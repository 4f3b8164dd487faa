// Peers that have gone without closing. A silent peer is sent a ping, and its connection is dropped if nothing comes
// back. A peer that reads slowly is not silent: while it acknowledges more of what was sent before, its pong may be
// late.
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

  /// Sends pings to silent peers, and drops those that have not answered. `connections` returns the current table:
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
  /// Whether a ping was sent since.
  fileprivate var isPinged = false
}

/// Milliseconds by which a message that is known here may look newer in the kernel's times: the kernel's clock goes on
/// in ticks, and the loop's stands still while the machine is busy. The answer to a ping is newer by more.
private func doubt(_ threshold: UInt64) -> UInt64 { min(250, threshold / 2) }

extension Connection {
  /// Notes that the peer has sent something.
  func noteActivity() { (activity.time, activity.isPinged) = (loop.idleSweep.time, false) }

  /// Returns for how many milliseconds the peer has sent nothing, and acknowledged nothing that it was sent. The kernel
  /// is asked as well, because lws does not report pings, nor pongs without payload; but only if no message has arrived
  /// for `threshold`. A peer that acknowledges bytes reads what precedes the ping. Acknowledging the ping alone only
  /// shows that the peer's kernel is there, so an acknowledgement counts only while other bytes are outstanding.
  fileprivate func silence(atLeast threshold: UInt64) -> UInt64 {
    let now = loop.idleSweep.time
    let silence = UInt64(now &- activity.time)
    guard silence >= threshold, let kernel = socket?.kernelState else { return silence }
    let isReading = kernel.hasOutstanding && kernel.acknowledged != activity.acknowledged
    activity.acknowledged = kernel.acknowledged
    let known = isReading ? 0 : UInt64(kernel.silence)
    guard known + doubt(threshold) < silence else { return silence }
    activity.time = now &- UInt32(truncatingIfNeeded: known)
    // Also while the peer reads: its answer to the last ping may have come since.
    activity.isPinged = false
    return known
  }

  /// Sends a ping (RFC 6455, section 5.5.2), once in a period of silence. All writes are whole frames, so it may come
  /// between any two. A peer whose socket is blocked is not sent one. The ping has no payload, because lws would take a
  /// page of memory for the pong's, see ReceiveBuffer.swift. Returns whether a ping was sent.
  fileprivate func ping() -> Bool {
    guard !activity.isPinged, state == .open, let socket, !socket.isBlocked else { return false }
    activity.isPinged = true
    if socket.write([0x89, 0].span) == .failed { drop() }
    return true
  }

  /// Counts and logs why the peer is rejected, closed or slowed down.
  func note(_ reason: RejectionReason, _ detail: @autoclosure () -> String) {
    loop.admission.rejections.note(reason, socket?.peer ?? "a peer that has gone", detail())
  }
}
