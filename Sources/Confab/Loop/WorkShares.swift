// The cost of the messages of one address. A compressed message of a kilobyte can inflate to a megabyte, which takes
// milliseconds to inflate, check and deflate for its readers; a request of forty bytes can have a response of 256 KiB;
// and a message is delivered to all members of its room. The time that these take on a loop is measured. When an
// address has used up its share, its next messages are deferred until others have had theirs.

/// Time that an address has taken beyond its share. The debt is paid off at the rate of the share.
struct WorkDebt {
  /// The share of a loop's time that one address may take.
  static let share = 0.25
  /// Time that may be taken at once, in nanoseconds.
  static let burst = 10_000_000.0
  /// Maximum debt, in nanoseconds: paying it off takes a second. The debt is measured by a clock, so it includes time
  /// in which the process was held up.
  static let most = 250_000_000.0

  private var nanoseconds = 0.0
  private var at: UInt64

  init(now: UInt64) { at = now }

  private mutating func payOff(now: UInt64) {
    nanoseconds = max(0, nanoseconds - Double(now &- at) * WorkDebt.share)
    at = now
  }

  mutating func add(_ count: UInt64, now: UInt64) {
    payOff(now: now)
    nanoseconds = min(nanoseconds + Double(count), WorkDebt.most)
  }

  /// Returns whether the debt exceeds ``burst``. The clock is read only if it did when time was last added.
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

/// The addresses whose messages are being delivered, by the bytes of their messages.
struct DeliveryOwners {
  /// Maximum number of addresses. The messages of others are not charged.
  private static let most = 16

  private var owners: [(address: Int, bytes: Int)] = []
  /// Bytes of messages that are not charged.
  private var freeBytes = 0

  var isEmpty: Bool { owners.isEmpty }

  /// Adds a message. `address` is nil if its sender is exempt.
  mutating func add(_ address: Int?, _ bytes: Int) {
    // An empty message has a header.
    let bytes = bytes + Frame.maxHeader
    if let index = owners.firstIndex(where: { $0.address == address }) {
      owners[index].bytes += bytes
    } else if let address, owners.count < DeliveryOwners.most {
      owners.append((address, bytes))
    } else {
      freeBytes += bytes
    }
  }

  /// Calls `charge` with each address and its part of the time.
  func split(_ nanoseconds: UInt64, _ charge: (_ address: Int, _ nanoseconds: UInt64) -> Void) {
    let total = owners.reduce(freeBytes) { $0 + $1.bytes }
    for (address, bytes) in owners { charge(address, UInt64(Double(nanoseconds) * Double(bytes) / Double(total))) }
  }

  mutating func removeAll() {
    owners.removeAll(keepingCapacity: true)
    freeBytes = 0
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
  /// Bytes of the message that is being delivered to the handler.
  var payload = 0
  /// The connection whose work was measured last, and the end of that work, unless the loop has done other work since.
  private var last: (connection: ObjectIdentifier, end: UInt64)?

  init(_ configuration: Configuration) { isOn = configuration.maxConnectionsPerAddress > 0 }

  /// Returns the address of a connection; nil if it is exempt from rates.
  private func address(of connection: Connection) -> Int? {
    isOn && connection.meter != nil ? connection.socket?.ticket.address : nil
  }

  /// Returns whether the address of a connection has used up its share. False for connections that are exempt from
  /// rates.
  func isOverworked(by connection: Connection) -> Bool {
    guard !debts.isEmpty, let address = address(of: connection) else { return false }
    return debts[address]?.isTooMuch(now: monotonicTime()) ?? false
  }

  /// Adds the time from `start` to `now` to the debt of `address`.
  private func charge(_ address: Int, from start: UInt64, to now: UInt64) {
    debts[address, default: WorkDebt(now: start)].add(now &- start, now: now)
  }

  /// Adds the time from `start` to `now` to the debts of `owners`.
  func charge(_ owners: DeliveryOwners, from start: UInt64, to now: UInt64) {
    owners.split(now &- start) { address, nanoseconds in
      debts[address, default: WorkDebt(now: start)].add(nanoseconds, now: now)
    }
  }

  /// Begins work for a connection. Returns the connection's address and the start time; nil if the connection is
  /// exempt. Between two messages of one read, only lws works for the same connection, so the clock is not read again.
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

  /// Called before the loop stops receiving, to poll or to write.
  func endReceiving() { last = nil }

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
