internal import Logging
internal import Synchronization

/// Counters and measurements of a server since it was created.
public struct Statistics: Equatable, Sendable {
  /// Current connections, including those in a handshake or fetching the page.
  public var connections = 0
  /// Accepted TCP connections, including those rejected with a status.
  public var accepted = 0
  /// Complete messages received. This property and the following ones are up to a quarter of a second old while the
  /// server runs.
  public var messages = 0
  /// Payload bytes of these messages.
  public var receivedBytes = 0
  /// Deliveries: each message counts once per client that it is sent to.
  public var deliveries = 0
  /// Bytes of sent messages, including frame headers, after compression.
  public var sentBytes = 0
  /// Delay of the event loops: the largest recent one, or the current one if a loop is stalled. A delay counts a tenth
  /// less for each quarter of a second since.
  public var loopLag = Duration.zero
  /// Time since the most delayed event loop should have run; 0 if all have run in time.
  public var loopStall = Duration.zero
  /// Unread bytes of all clients that have not been handed to the kernel. Bytes that clients share in memory count for
  /// each of them.
  public var backlog = 0
  /// Time from publishing a message to a ``BroadcastLog`` or a room until it is handed to the kernel. A message counts
  /// once per client that keeps up; slower clients count in ``backlog`` instead. The messages of one turn of an event
  /// loop count from the first of them on.
  public var deliveryLatency = Latency()
  /// The number of rejections, closes, drops and slowdowns by reason, without those that have not occurred.
  public var rejections: [RejectionReason: Int] = [:]
}

extension Statistics {
  /// The statistics of a server that has done nothing yet.
  package static let none = Statistics()

  /// A number of ``Statistics`` for monitoring: its name, which includes the unit; whether it only grows; its value.
  package struct Metric: Sendable {
    package let name: String
    package let isTotal: Bool
    package let help: String
    package let value: @Sendable (Statistics) -> Double

    init(_ name: String, _ help: String, isTotal: Bool = false, _ value: @escaping @Sendable (Statistics) -> Double) {
      (self.name, self.help, self.isTotal, self.value) = (name, help, isTotal, value)
    }
  }

  /// All numbers except ``rejections`` and ``deliveryLatency``.
  package static let metrics = [
    Metric("connections", "Current connections.") { Double($0.connections) },
    Metric("backlog_bytes", "Unread bytes of all clients that have not been handed to the kernel.") {
      Double($0.backlog)
    },
    Metric("loop_lag_seconds", "Delay of the event loops.") { $0.loopLag / .seconds(1) },
    Metric(
      "connections_accepted_total",
      "Accepted TCP connections, including those rejected with a status.", isTotal: true
    ) { Double($0.accepted) },
    Metric("messages_received_total", "Messages received.", isTotal: true) { Double($0.messages) },
    Metric("received_bytes_total", "Payload bytes of received messages.", isTotal: true) { Double($0.receivedBytes) },
    Metric("deliveries_total", "Messages sent, counted once per client.", isTotal: true) {
      Double($0.deliveries)
    },
    Metric("sent_bytes_total", "Bytes of sent messages.", isTotal: true) { Double($0.sentBytes) },
  ]
}

/// Limits a log to 10 lines per second, so that peers cannot flood it. The metadata `leftOut` of a line is the number
/// of lines dropped before it.
struct LogLimiter {
  static let linesPerSecond = 10
  private var second = ContinuousClock.now
  private var lines = 0
  private var unsaid = 0

  /// Decides about one more line. Returns the number of lines dropped before it; nil if this one is to be dropped, too.
  mutating func admit() -> Int? {
    let now = ContinuousClock.now
    if now - second >= .seconds(1) { (second, lines) = (now, 0) }
    guard lines < LogLimiter.linesPerSecond else {
      unsaid += 1
      return nil
    }
    lines += 1
    defer { unsaid = 0 }
    return unsaid
  }
}

/// Counts and logs rejections, with a ``LogLimiter`` for each reason, so that a flood of one reason does not hide the
/// others.
final class RejectionLog: Sendable {
  private let logger: Logger
  private let state = Mutex(State())
  private struct State {
    var counts: [RejectionReason: Int] = [:]
    var limiters: [RejectionReason: LogLimiter] = [:]
  }

  init(_ logger: Logger) { self.logger = logger }

  var counts: [RejectionReason: Int] { state.withLock { $0.counts } }

  /// Counts and logs a rejection. `peer`, `path` and `detail` may contain data from peers; non-printable characters are
  /// replaced here. Any thread.
  func note(
    _ reason: RejectionReason, _ peer: @autoclosure () -> String, path: @autoclosure () -> String? = nil,
    _ detail: @autoclosure () -> String
  ) {
    let level = reason.isRoutine ? Logger.Level.info : .notice
    let isLogged = level >= logger.logLevel
    let unsaid: Int? = state.withLock { state in
      state.counts[reason, default: 0] += 1
      return isLogged ? state.limiters[reason, default: LogLimiter()].admit() : nil
    }
    guard let unsaid else { return }
    var metadata: Logger.Metadata = ["reason": "\(reason.rawValue)", "peer": "\(peer().printable)"]
    if let path = path() { metadata["path"] = "\(path.printable)" }
    if unsaid > 0 { metadata["leftOut"] = .stringConvertible(unsaid) }
    logger.log(level: level, "\(detail().printable)", metadata: metadata)
  }
}

extension RejectionReason {
  /// Whether this is common and harmless.
  fileprivate var isRoutine: Bool {
    switch self {
    case .notFound, .notUnderstood, .idle, .closeTimeout, .acceptRate, .messageRate, .byteRate, .pingRate: true
    default: false
    }
  }
}
