internal import Logging
internal import Synchronization

/// What a server has done, and what it has refused, since it was made.
public struct Statistics: Equatable, Sendable {
  /// Connections that there are now, those that are still shaking hands or fetch the page among them.
  public var connections = 0
  /// TCP connections that have been accepted, in all: those that have been refused by a status among them.
  public var accepted = 0
  /// Messages that have been received whole. This and the following are up to a quarter of a second old while the server
  /// runs.
  public var messages = 0
  /// The bytes of their payload.
  public var receivedBytes = 0
  /// Messages that have been handed on to be sent, each as often as there were clients to get it.
  public var deliveries = 0
  /// Bytes of messages that have been sent, frame headers included and as compressed as they were.
  public var sentBytes = 0
  /// How late the event loops are: the latest of them in the last seconds, or now if one does not come to its turn.
  public var loopLag = Duration.zero
  /// For how long the event loop that is furthest behind has not come to its turn; 0 if all have.
  public var loopStall = Duration.zero
  /// Bytes that clients have not been sent yet because they do not read, of all of them together; those that they share in
  /// memory, too, are counted for each. What the kernel holds is not.
  public var backlog = 0
  /// How long messages that are published to a ``BroadcastLog``, or said in a room, take until they are handed to the
  /// kernel, each as often as it is for a client that keeps up. Those of one turn of an event loop count from the first of
  /// them on, and those who lag behind are not in it but in ``backlog``.
  public var deliveryLatency = Latency()
  /// How often the server has refused, ended or slowed down something, by reason; without those that have not occurred.
  public var refusals: [Refusal: Int] = [:]
}

extension Statistics {
  /// Those of a server that has done nothing.
  package static let none = Statistics()

  /// A number of ``Statistics`` for those who watch it: its name with that of its unit, whether it only grows, and what it
  /// is.
  package struct Metric: Sendable {
    package let name: String
    package let isTotal: Bool
    package let help: String
    package let value: @Sendable (Statistics) -> Double

    init(_ name: String, _ help: String, isTotal: Bool = false, _ value: @escaping @Sendable (Statistics) -> Double) {
      (self.name, self.help, self.isTotal, self.value) = (name, help, isTotal, value)
    }
  }

  /// All but ``refusals`` and ``deliveryLatency``.
  package static let metrics = [
    Metric("connections", "Connections that there are now.") { Double($0.connections) },
    Metric("backlog_bytes", "Bytes that clients have not been sent yet because they do not read.") {
      Double($0.backlog)
    },
    Metric("loop_lag_seconds", "How late the event loops are.") { $0.loopLag / .seconds(1) },
    Metric(
      "connections_accepted_total",
      "TCP connections that have been accepted, those that have been refused by a status among them.", isTotal: true
    ) { Double($0.accepted) },
    Metric("messages_received_total", "Messages that have been received.", isTotal: true) { Double($0.messages) },
    Metric("received_bytes_total", "Bytes of their payload.", isTotal: true) { Double($0.receivedBytes) },
    Metric("deliveries_total", "Messages, each as often as there were clients to get it.", isTotal: true) {
      Double($0.deliveries)
    },
    Metric("sent_bytes_total", "Bytes of messages that have been sent.", isTotal: true) { Double($0.sentBytes) },
  ]
}

/// Lets so many lines a second into a log: what peers cause must not fill it. How many have been left out before a line is
/// its metadata `leftOut`.
struct LogLimiter {
  static let linesPerSecond = 10
  private var second = ContinuousClock.now
  private var lines = 0
  private var unsaid = 0

  /// Whether to log one more line: then how many have been left out before it; nil if not.
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

/// Counts what is refused, and tells the log: a line each, as long as there are few of the same reason. So a flood of
/// one hides no other.
final class RefusalLog: Sendable {
  private let logger: Logger
  private let state = Mutex(State())
  private struct State {
    var counts: [Refusal: Int] = [:]
    var limiters: [Refusal: LogLimiter] = [:]
  }

  init(_ logger: Logger) { self.logger = logger }

  var counts: [Refusal: Int] { state.withLock { $0.counts } }

  /// Any thread. `peer`, `path` and `detail` may hold what a peer has sent: it is made printable here.
  func note(
    _ refusal: Refusal, _ peer: @autoclosure () -> String, path: @autoclosure () -> String? = nil,
    _ detail: @autoclosure () -> String
  ) {
    let level = refusal.isRoutine ? Logger.Level.info : .notice
    let isLogged = level >= logger.logLevel
    let unsaid: Int? = state.withLock { state in
      state.counts[refusal, default: 0] += 1
      return isLogged ? state.limiters[refusal, default: LogLimiter()].admit() : nil
    }
    guard let unsaid else { return }
    var metadata: Logger.Metadata = ["reason": "\(refusal.rawValue)", "peer": "\(peer().printable)"]
    if let path = path() { metadata["path"] = "\(path.printable)" }
    if unsaid > 0 { metadata["leftOut"] = .stringConvertible(unsaid) }
    logger.log(level: level, "\(detail().printable)", metadata: metadata)
  }
}

extension Refusal {
  /// What happens every day, and to nobody's harm.
  fileprivate var isRoutine: Bool {
    switch self {
    case .notFound, .notUnderstood, .idle, .closeTimeout, .acceptRate, .messageRate, .byteRate, .pingRate: true
    default: false
    }
  }
}
