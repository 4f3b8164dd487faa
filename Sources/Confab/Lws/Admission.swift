internal import CLibwebsockets
internal import Glibc
internal import Logging
internal import Synchronization

/// Counts the connections of a server, in all and by address, and says whether one more is let in. Any thread.
final class Admission: Sendable {
  private let configuration: Configuration
  private let limit: Int
  /// Those that connections may have, and answers with files.
  private let descriptors: Int
  /// See ``Configuration/trustedProxies``.
  let trustedProxies: [AddressRange]
  let refusals: RefusalLog
  private let total = Atomic(0)
  /// What answers with files need beside the descriptors of their connections.
  private let descriptorsOfFiles = Atomic(0)
  private let accepted = Atomic(0)
  private let addresses = Mutex(AddressTable())

  init(_ configuration: Configuration) {
    self.configuration = configuration
    descriptors = descriptorsForConnections()
    limit = min(configuration.maxConnections, descriptors)
    trustedProxies = configuration.trustedProxies.compactMap { AddressRange($0) }
    refusals = RefusalLog(configuration.logger)
    if limit < configuration.maxConnections {
      // Whoever has not asked for a number does not miss it.
      let isAsked = configuration.maxConnections != Configuration().maxConnections
      configuration.logger.log(
        level: isAsked ? .warning : .info,
        "there can be \(limit) connections, not \(configuration.maxConnections): no more files may be open (ulimit -n)")
    }
  }

  var statistics: Statistics {
    Statistics(
      connections: total.load(ordering: .relaxed), accepted: accepted.load(ordering: .relaxed),
      refusals: refusals.counts)
  }

  /// Whether there is no connection, of whatever kind.
  var isEmpty: Bool { total.load(ordering: .relaxed) == 0 }

  /// What a connection holds from ``admit(_:)`` to ``leave(_:)``.
  struct Ticket {
    /// 0: exempt from limits of rates and addresses. Otherwise 1 + the place in the table of addresses.
    let rawValue: Int
    var isExempt: Bool { rawValue == 0 }
    /// What lws has for sockets of the server's own, which count for nobody.
    static let `internal` = Ticket(rawValue: -1)
    var isInternal: Bool { rawValue == Ticket.internal.rawValue }
  }

  /// Lets a connection in, or tells why not. A trusted proxy's counts for nobody until it is known whose it is.
  func admit(_ peer: SocketAddress) -> Result<Ticket, Rejection> {
    accepted.wrappingAdd(1, ordering: .relaxed)
    let left = descriptors - descriptorsOfFiles.load(ordering: .relaxed)
    if total.wrappingAdd(1, ordering: .relaxed).newValue > min(limit, left) {
      total.wrappingSubtract(1, ordering: .relaxed)
      return .failure(Rejection(.tooManyConnections, "there are \(limit) connections, which is the limit"))
    }
    let ticket = count(peer, isExempt: isExempt(peer))
    if case .failure = ticket { total.wrappingSubtract(1, ordering: .relaxed) }
    return ticket
  }

  /// Has a connection that has been let in count for `client`; if that is too many, it stays what it was.
  ///
  /// - Parameter isIdentified: whether `client` is who a trusted proxy has sent a request for. Limits are for every such
  ///   client, whatever its address: the proxies and programs of this machine that are exempt connect themselves.
  func exchange(_ ticket: Ticket, for client: SocketAddress, isIdentified: Bool = false) -> Result<Ticket, Rejection> {
    let exchanged = count(client, isExempt: !isIdentified && isExempt(client))
    if case .success = exchanged { forget(ticket) }
    return exchanged
  }

  /// Whether there are descriptors for an answer with a file: it takes some of those of connections, until
  /// ``returnDescriptors()``.
  func takeDescriptors() -> Bool {
    let taken = descriptorsOfFiles.wrappingAdd(Admission.descriptorsOfFile, ordering: .relaxed).newValue
    if total.load(ordering: .relaxed) <= descriptors - taken { return true }
    returnDescriptors()
    return false
  }

  func returnDescriptors() {
    descriptorsOfFiles.wrappingSubtract(Admission.descriptorsOfFile, ordering: .relaxed)
  }

  /// The file, and the pair of sockets that lws sends it through.
  private static let descriptorsOfFile = 3

  private func isExempt(_ peer: SocketAddress) -> Bool {
    !configuration.limitsLoopback && peer.isLoopback || trustedProxies.contain(peer)
  }

  private func count(_ peer: SocketAddress, isExempt: Bool) -> Result<Ticket, Rejection> {
    if isExempt { return .success(Ticket(rawValue: 0)) }
    let most = configuration.maxConnectionsPerAddress
    guard let place = addresses.withLock({ $0.add(peer.network, upTo: most == 0 ? .max : most) }) else {
      return .failure(
        Rejection(.tooManyFromAddress, "there are \(most) connections from this address, which is the limit"))
    }
    return .success(Ticket(rawValue: place + 1))
  }

  private func forget(_ ticket: Ticket) {
    if !ticket.isExempt { addresses.withLock { $0.remove(at: ticket.rawValue - 1) } }
  }

  func leave(_ ticket: Ticket) {
    total.wrappingSubtract(1, ordering: .relaxed)
    forget(ticket)
  }

  struct Rejection: Error {
    let refusal: Refusal
    let detail: String
    static let headers = ["Retry-After": "10"]
    init(_ refusal: Refusal, _ detail: String) { (self.refusal, self.detail) = (refusal, detail) }
  }
}

/// How many connections there are of each address.
struct AddressTable {
  private var places: [SocketAddress.Network: Int] = [:]
  private var entries: [(network: SocketAddress.Network, count: Int)] = []
  private var free: [Int] = []

  /// Counts one more, and tells its place; nil when there are `limit` already.
  mutating func add(_ network: SocketAddress.Network, upTo limit: Int) -> Int? {
    if let place = places[network] {
      guard entries[place].count < limit else { return nil }
      entries[place].count += 1
      return place
    }
    let place = free.popLast() ?? entries.count
    if place == entries.count { entries.append((network, 1)) } else { entries[place] = (network, 1) }
    places[network] = place
    return place
  }

  mutating func remove(at place: Int) {
    entries[place].count -= 1
    guard entries[place].count == 0 else { return }
    places[entries[place].network] = nil
    free.append(place)
  }
}
