internal import Glibc

/// An address that a server listens on.
public struct ListeningAddress: Hashable, Sendable {
  /// A numeric address.
  public var host: String
  /// Its TCP port.
  public var port: Int
  /// Whether only programs of this machine reach it.
  public var isLoopback: Bool { host == "::1" || host.hasPrefix("127.") }
  /// Whether TLS is spoken there.
  public var isEncrypted = false
  /// The page's address.
  public var url: String { "\(isEncrypted ? "https" : "http")://\(host.contains(":") ? "[\(host)]" : host):\(port)/" }
}

/// Listening sockets for every event loop: `descriptors[loop]` has one for each address.
struct Bound {
  private(set) var addresses: [ListeningAddress] = []
  private(set) var descriptors: [[Int32]]
  private let isEncrypted: Bool

  init(_ configuration: Configuration) throws(ConfabError) {
    isEncrypted = configuration.tls != nil
    descriptors = Array(repeating: [], count: configuration.loops)
    let hosts = configuration.host.map { [$0] } ?? ["127.0.0.1", "::1"]
    var failure: ConfabError?
    var port = configuration.port
    for host in hosts {
      do throws(ConfabError) {
        for address in try SocketAddress.resolve(host) {
          port = try listen(address.with(port: port))
        }
      } catch  where configuration.host == nil && error.code == .cannotListen {
        failure = error  // This machine has only one of IPv4 and IPv6.
      } catch {
        for descriptors in descriptors { close(descriptors) }
        throw error
      }
    }
    if addresses.isEmpty, let failure { throw failure }
  }

  /// Listens on one address, once for each loop, and tells the port.
  private mutating func listen(_ address: SocketAddress) throws(ConfabError) -> Int {
    // Two servers that both say SO_REUSEPORT would share the port without noticing: the first try is without.
    let first = try address.listen(shared: false)
    guard let bound = unsafe SocketAddress(of: first, getsockname) else {
      _ = Glibc.close(first)
      throw ConfabError(.cannotListen, "cannot tell the port of \(address)")
    }
    if descriptors.count == 1 {
      descriptors[0].append(first)
    } else {
      _ = Glibc.close(first)
      for loop in descriptors.indices { descriptors[loop].append(try bound.listen(shared: true)) }
    }
    addresses.append(ListeningAddress(host: bound.host, port: bound.port, isEncrypted: isEncrypted))
    return bound.port
  }

  /// Gives up the sockets of one event loop.
  func close(_ descriptors: [Int32]) {
    for descriptor in descriptors { _ = Glibc.close(descriptor) }
  }
}
