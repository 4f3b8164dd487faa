// The cost of the messages of one address. A compressed message of a kilobyte can inflate to a megabyte, which takes
// milliseconds to inflate, check and deflate for its readers, and a request of forty bytes can have a response of 256 KiB.
// The time that both take on a loop is measured. When an address has used up its share, its next messages are deferred
// until others have had theirs.

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

  /// Whether the debt is more than may be taken at once.
  mutating func isTooMuch(now: UInt64) -> Bool {
    payOff(now: now)
    return nanoseconds > WorkDebt.burst
  }

  mutating func isPaid(now: UInt64) -> Bool {
    payOff(now: now)
    return nanoseconds == 0
  }
}

/// The debts of the addresses whose messages an event loop handles.
struct WorkShares {
  /// By the ticket of the address.
  private var debts: [Int: WorkDebt] = [:]
  /// Whether addresses have limits.
  private let isOn: Bool

  init(_ configuration: Configuration) { isOn = configuration.maxConnectionsPerAddress > 0 }

  /// The ticket of a connection's address; nil if it is exempt from rates.
  fileprivate func ticket(of connection: Connection) -> Int? {
    isOn && connection.meter != nil ? connection.socket?.ticket.rawValue : nil
  }

  fileprivate mutating func isTooMuch(for connection: Connection) -> Bool {
    guard !debts.isEmpty, let ticket = ticket(of: connection) else { return false }
    return debts[ticket]?.isTooMuch(now: monotonicTime()) ?? false
  }

  fileprivate mutating func add(_ ticket: Int, since start: UInt64) {
    let now = monotonicTime()
    debts[ticket, default: WorkDebt(now: start)].add(now &- start, now: now)
  }

  /// Forgets the addresses that have paid off their debt.
  mutating func forgetPaidDebts() {
    if debts.isEmpty { return }
    let now = monotonicTime()
    debts = debts.filter { ticket, debt in
      var debt = debt
      return !debt.isPaid(now: now)
    }
  }
}

extension EventLoop {
  /// Whether the address of a connection has used up its share. False for connections that are exempt from rates.
  func isOverworked(by connection: Connection) -> Bool { work.isTooMuch(for: connection) }

  /// Runs `body`, and adds the time that it takes to the debt of the connection's address.
  func working<Result, Failure>(
    for connection: Connection, _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    guard let ticket = work.ticket(of: connection) else { return try body() }
    let start = monotonicTime()
    defer { work.add(ticket, since: start) }
    return try body()
  }
}
