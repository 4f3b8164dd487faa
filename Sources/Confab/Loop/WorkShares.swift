// The cost of the messages of one address. A compressed message of a kilobyte can inflate to a megabyte, which takes
// milliseconds to inflate, check and deflate for its readers; a request of forty bytes can have a response of 256 KiB;
// and a message is delivered to all members of its room. The time that these take on a loop is measured. When an address
// has used up its share, its next messages are deferred until others have had theirs.

/// Time that an address has taken beyond its share. The debt is paid off at the rate of the share.
struct WorkDebt {
  /// The share of a loop's time that one address may take.
  static let share = 0.25
  /// Time that may be taken at once, in nanoseconds.
  static let burst = 10_000_000.0

  private var nanoseconds = 0.0
  private var at: UInt64

  init(now: UInt64) { at = now }

  private mutating func payOff(now: UInt64) {
    nanoseconds = max(0, nanoseconds - Double(now &- at) * WorkDebt.share)
    at = now
  }

  mutating func add(_ count: UInt64, now: UInt64) {
    payOff(now: now)
    nanoseconds += Double(count)
  }

  /// Whether the debt is more than may be taken at once. The clock is read only if it was, when time was last added.
  mutating func isTooMuch(now: @autoclosure () -> UInt64) -> Bool {
    guard nanoseconds > WorkDebt.burst else { return false }
    payOff(now: now())
    return nanoseconds > WorkDebt.burst
  }

  mutating func isPaid(now: UInt64) -> Bool {
    payOff(now: now)
    return nanoseconds == 0
  }
}

/// The time that addresses have taken on one loop.
final class WorkShares {
  /// Whether addresses have limits.
  private let isOn: Bool
  /// By ``Admission/Ticket/address``.
  private var debts: [Int: WorkDebt] = [:]
  /// The address whose message is being delivered to the handler; nil if it is exempt, or there is none.
  fileprivate(set) var payer: Int?
  /// The connection whose work was measured last since the poll, and the end of that work.
  private var last: (connection: ObjectIdentifier, end: UInt64)?

  init(_ configuration: Configuration) { isOn = configuration.maxConnectionsPerAddress > 0 }

  /// The address of a connection; nil if it is exempt from rates.
  private func address(of connection: Connection) -> Int? {
    isOn && connection.meter != nil ? connection.socket?.ticket.address : nil
  }

  /// Whether the address of a connection has used up its share. False for connections that are exempt from rates.
  func isOverworked(by connection: Connection) -> Bool {
    guard !debts.isEmpty, let address = address(of: connection) else { return false }
    return debts[address]?.isTooMuch(now: monotonicTime()) ?? false
  }

  /// Adds the time from `start` to `now` to the debt of `address`.
  func charge(_ address: Int, from start: UInt64, to now: UInt64) {
    debts[address, default: WorkDebt(now: start)].add(now &- start, now: now)
  }

  /// Begins work for a connection. Returns its address, and the time; nil if it is exempt. Only lws's work for the same
  /// connection lies between two of its messages from one read, so the clock is not read again.
  fileprivate func begin(for connection: Connection) -> (address: Int, start: UInt64)? {
    guard let address = address(of: connection) else { return nil }
    payer = address
    if let last, last.connection == ObjectIdentifier(connection) { return (address, last.end) }
    return (address, monotonicTime())
  }

  fileprivate func end(for connection: Connection, _ address: Int, since start: UInt64) {
    let now = monotonicTime()
    payer = nil
    charge(address, from: start, to: now)
    last = (ObjectIdentifier(connection), now)
  }

  /// Called before each poll, because the time of the poll is not work.
  func willPoll() { last = nil }

  /// Forgets the addresses that have paid off their debt.
  func forgetPaidDebts() {
    if debts.isEmpty { return }
    let now = monotonicTime()
    debts = debts.filter { address, debt in
      var debt = debt
      return !debt.isPaid(now: now)
    }
  }
}

extension EventLoop {
  /// Runs `body`, and adds the time that it takes to the debt of the connection's address.
  func working<Result, Failure>(
    for connection: Connection, _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    guard let (address, start) = work.begin(for: connection) else { return try body() }
    defer { work.end(for: connection, address, since: start) }
    return try body()
  }
}
