internal import CLibwebsockets

// Peers that have gone without a word: a silent peer is sent a ping, and its connection is dropped when nothing comes back.
// A peer that reads slowly is not silent: as long as it acknowledges more of what was sent before, its pong may be late.
//
// No connection has a timer: the loop looks at a part of them in each sweep, and at all within a fraction of the
// shortest time that it has to tell apart.

extension EventLoop {
  static let sweepInterval = Duration.milliseconds(250)

  /// What is to be done from time to time.
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
    // One in so many is looked at each time, none twice.
    let parts = max(1, Int(min(shortest, 64_000) / (8 * EventLoop.sweepInterval.milliseconds)))
    if sweepIndex >= connections.count { sweepIndex = 0 }
    let end = sweepIndex + (connections.count + parts - 1) / parts
    while sweepIndex < min(end, connections.count) {
      let connection = connections[sweepIndex]
      sweepIndex += 1
      if connection.state == .connecting || connection.isHeldBack { continue }
      let silence = connection.silence(atLeast: min(ping == 0 ? idle : ping, idle == 0 ? ping : idle))
      if ping > 0 && silence >= ping && connection.ping() {
        // Who could not be asked in time, since the process was held up, has as long to answer as everyone.
        connection.heardAt = sweptAt &- UInt32(ping)
      } else if idle > 0 && silence >= idle {
        connection.cutOff(.idle, "silent for \(configuration.idleTimeout.inSeconds) s")
      }
    }
  }
}

/// By so many milliseconds, what the kernel knows of a message that is known here may look newer: its clock goes on in
/// ticks, and the loop's stands still while the machine is busy elsewhere. What answers a ping is newer by more.
private func doubt(_ threshold: UInt64) -> UInt64 { min(250, threshold / 2) }

extension Connection {
  /// The peer has sent something.
  func heard() { (heardAt, isPinged) = (loop.sweptAt, false) }

  /// For how many milliseconds nothing has come, and nothing that was sent has been taken. What the kernel knows counts too,
  /// since lws keeps pings to itself, and pongs without payload; it is asked only when no message has come for as long as
  /// matters. A peer that acknowledges bytes reads what is before the ping; acknowledging the ping alone shows only that its
  /// kernel is there, so bytes that are still outstanding are asked for.
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

  /// Sends a ping (RFC 6455, section 5.5.2), once in a time of silence. All that is written is whole frames, so it may
  /// come between any two. Who does not take what it was sent is not asked. It has no payload, since lws would take a
  /// page of memory for the pong's, see ReceiveBuffer.swift. Whether it has sent one.
  fileprivate func ping() -> Bool {
    guard !isPinged, state == .open, let socket, !socket.isBlocked else { return false }
    isPinged = true
    if socket.write([0x89, 0]) == .failed { drop() }
    return true
  }

  /// Ends the connection without a close frame, which nobody would answer.
  func cutOff(_ refusal: Refusal, _ detail: String) {
    note(refusal, detail)
    drop()
  }

  /// Counts and logs what the peer is refused.
  func note(_ refusal: Refusal, _ detail: @autoclosure () -> String) {
    loop.admission.refusals.note(refusal, socket?.peer ?? "a peer that has gone", detail())
  }
}

extension Socket {
  /// What the kernel knows of the TCP connection.
  fileprivate var kernelState: shim_tcp { shim_tcp_state(descriptor) }
}
