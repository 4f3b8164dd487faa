internal import Logging
internal import Synchronization

/// Counts the connections of a server, in total and by address, and admits or rejects new ones. Any thread.
final class Admission: Sendable {
  private let configuration: Configuration
  private let limit: Int
  /// File descriptors available to connections and to responses with files.
  private let descriptors: Int
  /// See ``Configuration/trustedProxies``.
  let trustedProxies: [AddressRange]
  let rejections: RejectionLog
  private let total = Atomic(0)
  /// Descriptors that responses with files use, beside those of their connections.
  private let descriptorsOfFiles = Atomic(0)
  private let accepted = Atomic(0)
  private let addresses = Mutex(AddressTable())

  init(_ configuration: Configuration) {
    self.configuration = configuration
    descriptors = descriptorsForConnections()
    limit = min(configuration.maxConnections, descriptors)
    trustedProxies = configuration.trustedProxies.compactMap { AddressRange($0) }
    rejections = RejectionLog(configuration.logger)
    if limit < configuration.maxConnections {
      // The default does not cause a warning, because the operator has not asked for it.
      let isAsked = configuration.maxConnections != Configuration().maxConnections
      configuration.logger.log(
        level: isAsked ? .warning : .info,
        "at most \(limit) connections, not \(configuration.maxConnections): too few open files are allowed (ulimit -n)")
    }
  }

  var statistics: Statistics {
    Statistics(
      connections: total.load(ordering: .relaxed), accepted: accepted.load(ordering: .relaxed),
      rejections: rejections.counts)
  }

  /// Whether the server has no connections of any kind.
  var isEmpty: Bool { total.load(ordering: .relaxed) == 0 }

  /// A connection's entry in the counts, from ``admit(_:)`` to ``leave(_:)``.
  struct Ticket {
    /// ``address`` in the upper half, and 1 + the index in the table of addresses in the lower; or one of the values
    /// below.
    let rawValue: Int
    fileprivate init(index: Int, _ network: SocketAddress.Network) {
      // Swift seeds its hashes at random, so clients cannot choose addresses with equal ones.
      self.init(rawValue: (network.hashValue & Int(Int32.max)) << 32 | (index + 1))
    }
    init(rawValue: Int) { self.rawValue = rawValue }
    /// A number of 31 bits that the connections of one address share. Unlike the index in the table, it is not given to
    /// another address later.
    var address: Int { rawValue >> 32 }
    /// The ticket of connections without limits of rates and addresses.
    static let exempt = Ticket(rawValue: -1)
    var isExempt: Bool { rawValue == Ticket.exempt.rawValue }
    /// The index in the table of addresses.
    fileprivate var index: Int { (rawValue & Int(UInt32.max)) - 1 }
    /// The ticket of sockets that are not counted: sockets that the server itself hands to lws, and sockets that lws
    /// has not taken over. lws stores it as nil.
    static let `internal` = Ticket(rawValue: 0)
    var isInternal: Bool { rawValue == Ticket.internal.rawValue }
  }

  /// Admits a connection, or throws its rejection. A trusted proxy's connection does not count for an address until its
  /// client is known.
  func admit(_ peer: SocketAddress) throws(Rejection) -> Ticket {
    accepted.wrappingAdd(1, ordering: .relaxed)
    let left = descriptors - descriptorsOfFiles.load(ordering: .relaxed)
    if total.wrappingAdd(1, ordering: .relaxed).newValue > min(limit, left) {
      total.wrappingSubtract(1, ordering: .relaxed)
      throw Rejection(
        .tooManyConnections, "there are \(limit) connections, which is the limit", headers: Rejection.retryLater)
    }
    do throws(Rejection) {
      return try count(peer, isExempt: isExempt(peer))
    } catch {
      total.wrappingSubtract(1, ordering: .relaxed)
      throw error
    }
  }

  /// Counts an admitted connection for `client`. On failure it stays counted as before.
  ///
  /// - Parameter isIdentified: whether a trusted proxy has named `client` in a request. The limits apply to every such
  ///   client, whatever its address. Only proxies and programs of this machine that connect directly are exempt.
  func exchange(
    _ ticket: Ticket, for client: SocketAddress, isIdentified: Bool = false
  ) throws(Rejection) -> Ticket {
    let isExempt = !isIdentified && isExempt(client)
    // The connection is counted for this address already.
    if !isExempt && !ticket.isExempt && addresses.withLock({ $0.network(at: ticket.index) }) == client.network {
      return ticket
    }
    let exchanged = try count(client, isExempt: isExempt)
    forget(ticket)
    return exchanged
  }

  /// Reserves descriptors for a response with a file, until ``returnDescriptors()``. They are taken from the
  /// descriptors for connections. Returns false if too few are left, or if files would use more than a quarter of them:
  /// stalled downloads must not take the descriptors of connections.
  func takeDescriptors() -> Bool {
    let taken = descriptorsOfFiles.wrappingAdd(Admission.descriptorsOfFile, ordering: .relaxed).newValue
    let most = max(8 * Admission.descriptorsOfFile, descriptors / 4)
    if taken <= most && total.load(ordering: .relaxed) <= descriptors - taken { return true }
    returnDescriptors()
    return false
  }

  func returnDescriptors() {
    descriptorsOfFiles.wrappingSubtract(Admission.descriptorsOfFile, ordering: .relaxed)
  }

  /// One for the file, and two for the pair of sockets that lws sends it through.
  private static let descriptorsOfFile = 3

  private func isExempt(_ peer: SocketAddress) -> Bool {
    !configuration.limitsLoopback && peer.isLoopback || trustedProxies.contain(peer)
  }

  private func count(_ peer: SocketAddress, isExempt: Bool) throws(Rejection) -> Ticket {
    if isExempt { return .exempt }
    let most = configuration.maxConnectionsPerAddress
    guard let index = addresses.withLock({ $0.add(peer.network, upTo: most == 0 ? .max : most) }) else {
      throw Rejection(
        .tooManyFromAddress, "there are \(most) connections from this address, which is the limit",
        headers: Rejection.retryLater)
    }
    return Ticket(index: index, peer.network)
  }

  private func forget(_ ticket: Ticket) {
    if !ticket.isExempt { addresses.withLock { $0.remove(at: ticket.index) } }
  }

  func leave(_ ticket: Ticket) {
    total.wrappingSubtract(1, ordering: .relaxed)
    forget(ticket)
  }
}

/// Numbers of connections by address.
struct AddressTable {
  private var indices: [SocketAddress.Network: Int] = [:]
  private var entries: [(network: SocketAddress.Network, count: Int)] = []
  private var free: [Int] = []

  /// Counts one more connection and returns the index of its entry; nil if there are `limit` already.
  mutating func add(_ network: SocketAddress.Network, upTo limit: Int) -> Int? {
    if let index = indices[network] {
      guard entries[index].count < limit else { return nil }
      entries[index].count += 1
      return index
    }
    let index = free.popLast() ?? entries.count
    if index == entries.count { entries.append((network, 1)) } else { entries[index] = (network, 1) }
    indices[network] = index
    return index
  }

  func network(at index: Int) -> SocketAddress.Network { entries[index].network }

  mutating func remove(at index: Int) {
    entries[index].count -= 1
    guard entries[index].count == 0 else { return }
    indices[entries[index].network] = nil
    free.append(index)
  }
}
