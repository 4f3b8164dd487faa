internal import CLibwebsockets

/// An address that a server listens on.
public struct ListeningAddress: Hashable, Sendable {
  /// A numeric address, or `unix:` and the path of a Unix domain socket.
  public var host: String
  /// The TCP port; 0 for a Unix domain socket.
  public var port: Int
  /// Whether only programs on this machine can reach it.
  public var isLoopback: Bool { host == "::1" || host.begins(with: "127.") || isUnix }
  /// Whether connections to it use TLS.
  public var isEncrypted = false
  private var isUnix: Bool { host.begins(with: SocketAddress.unixPrefix) }

  init(_ address: SocketAddress, isEncrypted: Bool) {
    host = address.isUnix ? SocketAddress.unixPrefix + (address.path ?? "") : address.host
    port = address.isUnix ? 0 : address.port
    self.isEncrypted = isEncrypted
  }

  /// The URL of the page; for a Unix domain socket, ``host``.
  public var url: String {
    if isUnix { return host }
    return "\(isEncrypted ? "https" : "http")://\(host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host):\(port)/"
  }
}

/// Listening sockets of all event loops: `descriptors[loop]` has one for each address.
struct ListeningSockets {
  private(set) var addresses: [ListeningAddress] = []
  private(set) var descriptors: [[Int32]]
  /// The file of a Unix domain socket that was made here.
  private(set) var file: UnixSocketFile?
  private let isEncrypted: Bool

  init(_ configuration: Configuration) throws(ConfabError) {
    isEncrypted = configuration.tls != nil
    descriptors = Array(repeating: [], count: configuration.loops)
    guard configuration.listeningSockets.isEmpty else {
      do throws(ConfabError) {
        for descriptor in configuration.listeningSockets { try duplicate(descriptor) }
      } catch {
        for descriptors in descriptors { close(descriptors) }
        throw error
      }
      return
    }
    var attempts = configuration.port == 0 ? 16 : 1
    while true {
      do throws(ConfabError) {
        try listen(configuration)
        return
      } catch {
        for descriptors in descriptors { close(descriptors) }
        attempts -= 1
        // A port that is free on one address may be taken on another. If any port will do, the next one is tried.
        guard error.code == .addressInUse, attempts > 0 else { throw error }
        descriptors = Array(repeating: [], count: configuration.loops)
        addresses = []
      }
    }
  }

  /// Listens on every address of the host.
  private mutating func listen(_ configuration: Configuration) throws(ConfabError) {
    var failure: ConfabError?
    var port = configuration.port
    if configuration.sharesPort, configuration.host?.begins(with: SocketAddress.unixPrefix) == true {
      throw ConfabError(.cannotListen, "a Unix socket cannot be shared: pass it to the next server as a descriptor")
    }
    for host in configuration.host.map({ [$0] }) ?? ["127.0.0.1", "::1"] {
      for address in try SocketAddress.resolve(host) {
        do throws(ConfabError) {
          port = try listen(address.with(port: port), isShared: configuration.sharesPort)
        } catch  where error.code == .cannotListen {
          // The name may have IPv4 and IPv6 addresses, and this machine only one of the two. One working address is
          // enough.
          failure = failure ?? error
        }
      }
    }
    if addresses.isEmpty, let failure { throw failure }
  }

  /// Listens on one address, once for each loop, and returns the port.
  private mutating func listen(_ address: SocketAddress, isShared: Bool) throws(ConfabError) -> Int {
    // Two servers with SO_REUSEPORT would share the port without noticing, so the first attempt does not set it.
    let first = try address.listen(shared: isShared)
    guard let bound = unsafe SocketAddress(of: first, getsockname) else {
      closeFile(first)
      throw ConfabError(.cannotListen, "cannot get the port of \(address)")
    }
    file = address.path.flatMap { UnixSocketFile($0) }
    let isDuplicated = shim_balances_port() == 0 || address.isUnix
    if isShared || descriptors.count == 1 || isDuplicated {
      descriptors[0].append(first)
    } else {
      closeFile(first)
    }
    for loop in descriptors.indices where descriptors[loop].count == addresses.count {
      descriptors[loop].append(isDuplicated ? shim_duplicate(first) : try bound.listen(shared: true))
    }
    addresses.append(ListeningAddress(bound, isEncrypted: isEncrypted))
    return addresses.last!.port
  }

  /// Makes duplicates of a listening socket, one for each loop.
  private mutating func duplicate(_ descriptor: Int32) throws(ConfabError) {
    guard let bound = unsafe SocketAddress(of: descriptor, getsockname), bound.isInternet || bound.isUnix,
      option(descriptor, SOL_SOCKET, SO_ACCEPTCONN) == 1
    else {
      throw ConfabError(.cannotListen, "descriptor \(descriptor) is not a listening TCP or Unix socket")
    }
    shim_set_nonblocking(descriptor)
    for loop in descriptors.indices {
      let own = shim_duplicate(descriptor)
      guard own >= 0 else {
        throw ConfabError(
          .cannotListen, "descriptor \(descriptor) cannot be duplicated: \(lastSystemMessage() ?? "unknown")")
      }
      descriptors[loop].append(own)
    }
    addresses.append(ListeningAddress(bound, isEncrypted: isEncrypted))
  }

  /// Closes the sockets of one event loop.
  func close(_ descriptors: [Int32]) {
    for descriptor in descriptors { closeFile(descriptor) }
  }
}
