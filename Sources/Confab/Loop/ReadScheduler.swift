// Connections that are not read for a while. TCP then slows the peer down, and nothing is lost.
//
// Connections that wait for a rate, for their logs, or for their own backlog are checked from time to time. Connections
// with a pending pong are resumed when the pong is sent. Connections that their handler has paused are resumed by the
// handler.

/// Decides when the paused connections of an event loop are read again. Loop thread only.
final class ReadScheduler {
  /// Connections that are paused because of a rate, the logs that they append to, or their own backlog.
  private var paused: ContiguousArray<Connection> = []
  /// Whether the paused connections must be checked again.
  private var isCheckDue = false
  /// Connections that may be read again: their pong has been sent, or their handler has resumed them.
  private var resumed: ContiguousArray<Connection> = []
  /// Runs while connections are paused.
  private let timer: UvTimer
  private static let interval = Duration.milliseconds(20)

  init(on uv: UvLoop) { timer = UvTimer(on: uv) }

  /// Stops reading from a connection until its logs are relieved, and its client is within its rates.
  func pause(_ connection: Connection) {
    if connection.reading.isPaused { return }
    stop(connection)
    checkAgain(connection)
  }

  /// Stops reading from a connection. The caller is responsible for resuming it.
  func stop(_ connection: Connection) {
    connection.reading.isPaused = true
    connection.socket?.setReading(false)
  }

  /// Resumes reading before the next poll, if nothing else prevents it.
  func resume(_ connection: Connection) { resumed.append(connection) }

  /// Checks the paused connections before the next poll.
  func checkPaused() { isCheckDue = true }

  private func checkAgain(_ connection: Connection) {
    paused.append(connection)
    if !timer.isActive {
      timer.start(after: ReadScheduler.interval, every: ReadScheduler.interval) { [unowned self] in checkPaused() }
    }
  }

  /// Resumes reading. Called right before a poll, and at no other time. lws on libuv processes the rest of an earlier
  /// read before the loop prepares to poll, or else when the poll reports that the socket is writable. Only then are
  /// the connection's pings noticed, see Lws/Workarounds/ReceivedPings.swift.
  func run() {
    // Delivering a deferred message may add others.
    for connection in exchange(&resumed, with: []) where !readOn(connection) { checkAgain(connection) }
    guard isCheckDue else { return }
    isCheckDue = false
    for connection in exchange(&paused, with: []) {
      if connection.mayBeRead { connection.noteActivity() }
      if !readOn(connection) { paused.append(connection) }
    }
    if paused.isEmpty { timer.stop() }
  }

  /// Resumes reading, if that is allowed. Returns false if the connection must be checked again. A connection that its
  /// handler has paused is not checked: its handler resumes it.
  private func readOn(_ connection: Connection) -> Bool {
    guard connection.mayBeRead else { return connection.reading.isHeldByHandler }
    guard connection.deliverDeferred() else { return false }
    guard connection.mayBeRead else { return connection.reading.isHeldByHandler }
    connection.readOn()
    return true
  }

  /// Releases the connections, which refer to the loop, when the loop has ended.
  func end() {
    (paused, resumed) = ([], [])
    timer.close()
  }
}

/// Whether a connection is read.
struct Reading {
  /// Whether reading is stopped.
  fileprivate(set) var isPaused = false
  /// Whether the handler has stopped reading.
  fileprivate(set) var isHeldByHandler = false
}

extension Connection {
  fileprivate var mayBeRead: Bool {
    if reading.isHeldByHandler { return false }
    if memberships.arePressed { return false }
    if state == .open && isFarBehind { return false }
    if state == .open, let meter, meter.readableAt > loop.now { return false }
    return true
  }

  /// Reads on, beginning with the bytes that lws has kept from the last read.
  func readOn() {
    reading.isPaused = false
    setReading()
  }

  /// Stops reading until ``resumeReading()``: no message is received, so TCP slows the peer down. Events on the peer's
  /// side, such as the end of the connection, are noticed later. ``Configuration/idleTimeout`` does not count
  /// meanwhile. Loop thread only.
  public func pauseReading() {
    loop.preconditionCurrent()
    guard state == .open, !reading.isHeldByHandler else { return }
    reading.isHeldByHandler = true
    if !reading.isPaused { loop.reads.stop(self) }
  }

  /// Ends ``pauseReading()``: messages are received from the next turn on. Loop thread only.
  public func resumeReading() {
    loop.preconditionCurrent()
    endHold()
  }

  /// Ends ``pauseReading()``, without checking the thread.
  func endHold() {
    guard reading.isHeldByHandler else { return }
    reading.isHeldByHandler = false
    noteActivity()
    // A connection with a pending pong is resumed when the pong is sent.
    if !isPongPending { loop.reads.resume(self) }
  }

  /// Reads a connection that is being dropped: a socket that is not read is not polled, and its end would not be
  /// noticed.
  func readUntilEnd() {
    reading.isHeldByHandler = false
    if reading.isPaused { readOn() }
  }
}
