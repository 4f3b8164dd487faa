internal import CLibwebsockets

// Peers that have gone without closing. A silent peer is sent a ping, and its connection is dropped if nothing comes
// back. A peer that reads slowly is not silent: while it acknowledges more of what was sent before, its pong may be
// late.
//
// Connections have no timers of their own. Each sweep looks at a part of them, and all are looked at within a fraction
// of the shorter of the two timeouts.

extension EventLoop {
  static let sweepInterval = Duration.milliseconds(250)

  /// Does the periodic work of the loop.
  func sweep() {
    showCounters()
    sweptAt = UInt32(truncatingIfNeeded: now)
    endLateHandshakes()
    evictLagging()
    forgetPaidDebts()
    visitSilent()
  }

  private func visitSilent() {
    let (ping, idle) = (configuration.pingInterval.milliseconds, configuration.idleTimeout.milliseconds)
    guard let shortest = [ping, idle].filter({ $0 > 0 }).min(), !connections.isEmpty else { return }
    // Each sweep looks at one of `parts` parts.
    let parts = max(1, Int(min(shortest, 64_000) / (8 * EventLoop.sweepInterval.milliseconds)))
    if sweepIndex >= connections.count { sweepIndex = 0 }
    let end = sweepIndex + (connections.count + parts - 1) / parts
    while sweepIndex < min(end, connections.count) {
      let connection = connections[sweepIndex]
      sweepIndex += 1
      if connection.state == .connecting || connection.isHeldBack { continue }
      let silence = connection.silence(atLeast: min(ping == 0 ? idle : ping, idle == 0 ? ping : idle))
      if ping > 0 && silence >= ping && connection.ping() {
        // If the process was held up, the ping is late. The peer still gets the full time to answer it.
        connection.heardAt = sweptAt &- UInt32(ping)
      } else if idle > 0 && silence >= idle {
        connection.cutOff(.idle, "idle for \(configuration.idleTimeout.inSeconds) s")
      }
    }
  }
}

/// Milliseconds by which a message that is known here may look newer in the kernel's times: the kernel's clock goes on
/// in ticks, and the loop's stands still while the machine is busy. The answer to a ping is newer by more.
private func doubt(_ threshold: UInt64) -> UInt64 { min(250, threshold / 2) }

extension Connection {
  /// Notes that the peer has sent something.
  func heard() { (heardAt, isPinged) = (loop.sweptAt, false) }

  /// Returns for how many milliseconds the peer has sent nothing, and acknowledged nothing that it was sent. The kernel
  /// is asked as well, because lws does not report pings, nor pongs without payload; but only if no message has arrived
  /// for `threshold`. A peer that acknowledges bytes reads what precedes the ping. Acknowledging the ping alone only
  /// shows that the peer's kernel is there, so an acknowledgement counts only while other bytes are outstanding.
  fileprivate func silence(atLeast threshold: UInt64) -> UInt64 {
    let silence = UInt64(loop.sweptAt &- heardAt)
    guard silence >= threshold, let kernel = socket?.kernelState else { return silence }
    let isReading = kernel.is_outstanding != 0 && kernel.acked != ackedBytes
    ackedBytes = kernel.acked
    let known = isReading ? 0 : UInt64(kernel.silence)
    guard known + doubt(threshold) < silence else { return silence }
    (heardAt, isPinged) = (loop.sweptAt &- UInt32(truncatingIfNeeded: known), isReading && isPinged)
    return known
  }

  /// Sends a ping (RFC 6455, section 5.5.2), once in a period of silence. All writes are whole frames, so it may come
  /// between any two. A peer whose socket is blocked is not sent one. The ping has no payload, because lws would take a
  /// page of memory for the pong's, see ReceiveBuffer.swift. Returns whether a ping was sent.
  fileprivate func ping() -> Bool {
    guard !isPinged, state == .open, let socket, !socket.isBlocked else { return false }
    isPinged = true
    if socket.write([0x89, 0]) == .failed { drop() }
    return true
  }

  /// Drops the connection without a close frame, because the peer would not answer it.
  func cutOff(_ refusal: Refusal, _ detail: String) {
    note(refusal, detail)
    drop()
  }

  /// Counts and logs why the peer is rejected, closed or slowed down.
  func note(_ refusal: Refusal, _ detail: @autoclosure () -> String) {
    loop.admission.refusals.note(refusal, socket?.peer ?? "a peer that has gone", detail())
  }
}

extension Socket {
  /// The kernel's state of the TCP connection.
  fileprivate var kernelState: shim_tcp { shim_tcp_state(descriptor) }
}
