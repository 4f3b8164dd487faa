internal import CLibwebsockets

/// An IPv4 or IPv6 address with a port, or the path of a Unix domain socket.
struct SocketAddress: CustomStringConvertible {
  private var storage: sockaddr_storage
  private var length: socklen_t

  /// The address of a socket that `function` returns: getsockname or getpeername. Nil if it fails.
  init?(
    of descriptor: Int32,
    _ function: (Int32, UnsafeMutablePointer<sockaddr>?, UnsafeMutablePointer<socklen_t>?) -> Int32
  ) {
    storage = sockaddr_storage()
    length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let failure = unsafe withUnsafeMutablePointer(to: &storage) { storage in
      unsafe storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe function(descriptor, $0, &length) }
    }
    if failure != 0 { return nil }
  }

  /// The address of the peer of a connection: 127.0.0.1 if it came over a Unix domain socket. Nil if the peer has gone.
  init?(peerOf descriptor: Int32) {
    guard let peer = unsafe SocketAddress(of: descriptor, getpeername) else { return nil }
    self = peer.normalized
  }

  enum Accepted {
    case connection(StreamSocket, SocketAddress)
    case nothingYet
    /// The process, or the system, has no descriptor or memory left. The connection is still waiting.
    case outOfResources
  }

  /// Accepts a connection from a listening socket.
  static func accept(from listener: StreamSocket) -> Accepted {
    var peer = SocketAddress()
    let descriptor = unsafe withUnsafeMutablePointer(to: &peer.storage) { storage in
      unsafe storage.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe shim_accept(listener.descriptor, $0, &peer.length)
      }
    }
    if descriptor >= 0 { return .connection(StreamSocket(descriptor: descriptor), peer.normalized) }
    return [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(shim_errno()) ? .outOfResources : .nothingYet
  }

  /// The IPv4 address, if this is an IPv4-mapped IPv6 address, as dual-stack sockets have (RFC 4291, section 2.5.5.2).
  /// 127.0.0.1, if this is a client of a Unix domain socket, which is on this machine and has no address.
  private var normalized: SocketAddress {
    if isUnix { return SocketAddress(bytes: [127, 0, 0, 1], port: 0) }
    guard storage.ss_family == sa_family_t(AF_INET6) else { return self }
    let start = MemoryLayout<sockaddr_in6>.offset(of: \.sin6_addr)!
    let bytes = unsafe withUnsafeBytes(of: storage) { unsafe Array($0[start..<start + 16]) }
    guard bytes.starts(with: Array(repeating: 0, count: 10) + [0xFF, 0xFF]) else { return self }
    var address = self
    address.storage.ss_family = sa_family_t(AF_INET)
    address.length = socklen_t(MemoryLayout<sockaddr_in>.size)
    unsafe withUnsafeMutableBytes(of: &address.storage) {
      let place = MemoryLayout<sockaddr_in>.offset(of: \.sin_addr)!
      unsafe UnsafeMutableRawBufferPointer(rebasing: $0[place...]).copyBytes(from: bytes[12...])
    }
    return address
  }

  private init() {
    storage = sockaddr_storage()
    length = socklen_t(MemoryLayout<sockaddr_storage>.size)
  }

  private init(_ address: UnsafePointer<sockaddr>, _ length: socklen_t) {
    storage = sockaddr_storage()
    self.length = length
    unsafe withUnsafeMutableBytes(of: &storage) {
      unsafe $0.copyMemory(from: UnsafeRawBufferPointer(start: address, count: Int(length)))
    }
  }

  /// An address of 4 or 16 bytes in network byte order. An IPv4-mapped address (RFC 4291, section 2.5.5.2) becomes
  /// IPv4.
  init(bytes: [UInt8], port: Int) {
    self.init()
    let isMapped = bytes.count == 16 && bytes.prefix(10).allSatisfy { $0 == 0 } && bytes[10...11] == [0xFF, 0xFF]
    let bytes = isMapped ? Array(bytes[12...]) : bytes
    storage.ss_family = sa_family_t(bytes.count == 4 ? AF_INET : AF_INET6)
    length = socklen_t(bytes.count == 4 ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size)
    let range = range
    unsafe withUnsafeMutableBytes(of: &storage) {
      unsafe UnsafeMutableRawBufferPointer(rebasing: $0[range]).copyBytes(from: bytes)
    }
    self = with(port: port)
  }

  /// The beginning of a host that is the path of a Unix domain socket.
  static let unixPrefix = "unix:"

  /// The address of a Unix domain socket. Nil if the path is empty, has a zero byte, or is too long: more than 107
  /// bytes on Linux.
  init?(unixPath path: String) {
    self.init()
    let start = MemoryLayout<sockaddr_un>.offset(of: \.sun_path)!
    let bytes = Array(path.utf8)
    guard !bytes.isEmpty, !bytes.contains(0), start + bytes.count < MemoryLayout<sockaddr_un>.size else { return nil }
    storage.ss_family = sa_family_t(AF_UNIX)
    length = socklen_t(start + bytes.count + 1)
    unsafe withUnsafeMutableBytes(of: &storage) {
      unsafe UnsafeMutableRawBufferPointer(rebasing: $0[start...]).copyBytes(from: bytes)
    }
  }

  /// The path of a Unix domain socket; nil for other addresses, and for a socket without a path.
  var path: String? {
    guard isUnix else { return nil }
    let start = MemoryLayout<sockaddr_un>.offset(of: \.sun_path)!
    let bytes = unsafe withUnsafeBytes(of: storage) { bytes in
      unsafe Array(bytes[min(start, Int(length))..<min(Int(length), bytes.count)].prefix { $0 != 0 })
    }
    return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
  }

  /// Whether it is the address of a Unix domain socket.
  var isUnix: Bool { storage.ss_family == sa_family_t(AF_UNIX) }

  /// A numeric address, such as `192.0.2.1` or `2001:db8::1`. Nil if `text` is something else.
  init?(numeric text: String, port: Int) {
    var bytes = [UInt8](repeating: 0, count: text.utf8.contains(UInt8(ascii: ":")) ? 16 : 4)
    // inet_pton reads up to a zero byte.
    guard !text.utf8.contains(0), unsafe inet_pton(bytes.count == 4 ? AF_INET : AF_INET6, text, &bytes) == 1 else {
      return nil
    }
    self.init(bytes: bytes, port: port)
  }

  /// The position of the address in ``storage``.
  private var range: Range<Int> {
    if storage.ss_family == sa_family_t(AF_INET) {
      let start = MemoryLayout<sockaddr_in>.offset(of: \.sin_addr)!
      return start..<start + 4
    }
    let start = MemoryLayout<sockaddr_in6>.offset(of: \.sin6_addr)!
    return start..<start + 16
  }

  /// The address: 4 or 16 bytes.
  var bytes: [UInt8] { unsafe withUnsafeBytes(of: storage) { unsafe Array($0[range]) } }

  /// Returns the addresses of a host name, of a numeric address, or of `unix:` and the path of a Unix domain socket.
  static func resolve(_ host: String) throws(ConfabError) -> [SocketAddress] {
    if host.begins(with: unixPrefix) {
      let path = String(decoding: host.utf8.dropFirst(unixPrefix.utf8.count), as: UTF8.self)
      guard let address = SocketAddress(unixPath: path) else {
        let limit = MemoryLayout<sockaddr_un>.size - MemoryLayout<sockaddr_un>.offset(of: \.sun_path)! - 1
        throw ConfabError(.unknownHost, "the path of a Unix socket must have 1 to \(limit) bytes, not '\(path)'")
      }
      return [address]
    }
    var hints = unsafe addrinfo()
    unsafe hints.ai_socktype = Int32(shim_STREAM)
    unsafe hints.ai_flags = AI_PASSIVE
    var list: UnsafeMutablePointer<addrinfo>?
    let failure = unsafe getaddrinfo(host, nil, &hints, &list)
    guard failure == 0 else {
      throw ConfabError(.unknownHost, "cannot find host '\(host)': \(unsafe String(cString: gai_strerror(failure)))")
    }
    defer { unsafe freeaddrinfo(list) }
    var addresses: [SocketAddress] = []
    var next = unsafe list
    while let entry = unsafe next {
      let address = unsafe SocketAddress(entry.pointee.ai_addr, entry.pointee.ai_addrlen)
      // A hosts file may list an address twice.
      if !addresses.contains(where: { $0.bytes == address.bytes }) { addresses.append(address) }
      unsafe next = entry.pointee.ai_next
    }
    return addresses
  }

  /// Returns the address with another port. Addresses of Unix domain sockets are returned unchanged.
  func with(port: Int) -> SocketAddress {
    if isUnix { return self }
    var copy = self
    let port = in_port_t(port).bigEndian
    unsafe withUnsafeMutableBytes(of: &copy.storage) {
      // The port has the same place in sockaddr_in and sockaddr_in6.
      unsafe $0.storeBytes(
        of: port, toByteOffset: MemoryLayout<sockaddr_in>.offset(of: \.sin_port)!, as: in_port_t.self)
    }
    return copy
  }

  /// The unit of limits by address: an IPv4 address, or the first 64 bits of an IPv6 address, which identify a network
  /// (RFC 4291, section 2.5.4). One host may use the whole network.
  struct Network: Hashable {
    private let bits: UInt64
    private let isIPv4: Bool

    fileprivate init(_ bits: UInt64, isIPv4: Bool) { (self.bits, self.isIPv4) = (bits, isIPv4) }
  }

  var network: Network {
    unsafe withUnsafeBytes(of: storage) { bytes in
      if storage.ss_family == sa_family_t(AF_INET) {
        let offset = MemoryLayout<sockaddr_in>.offset(of: \.sin_addr)!
        return unsafe Network(UInt64(bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)), isIPv4: true)
      }
      let offset = MemoryLayout<sockaddr_in6>.offset(of: \.sin6_addr)!
      return unsafe Network(bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self), isIPv4: false)
    }
  }

  /// Whether it is an IPv4 or IPv6 address.
  var isInternet: Bool { [AF_INET, AF_INET6].contains(Int32(storage.ss_family)) }

  /// Whether only this machine can use it: 127.0.0.0/8 or ::1.
  var isLoopback: Bool {
    unsafe withUnsafeBytes(of: storage) { bytes in
      if storage.ss_family == sa_family_t(AF_INET) {
        return unsafe bytes[MemoryLayout<sockaddr_in>.offset(of: \.sin_addr)!] == 127
      }
      let offset = MemoryLayout<sockaddr_in6>.offset(of: \.sin6_addr)!
      let (high, low) = unsafe (
        bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self),
        bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self)
      )
      return high == 0 && UInt64(bigEndian: low) == 1
    }
  }

  var port: Int { Int(numeric.port) ?? 0 }
  var host: String { numeric.host }
  var description: String { ListeningAddress(self, isEncrypted: false).url }
  /// `192.0.2.1:80` or `[2001:db8::1]:80`; without a port if it is unknown.
  var endpoint: String {
    let (host, port) = numeric
    return port == "0" ? host : host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
  }

  private var numeric: (host: String, port: String) {
    var (host, port) = ([CChar](repeating: 0, count: Int(NI_MAXHOST)), [CChar](repeating: 0, count: 32))
    _ = unsafe withAddress {
      unsafe getnameinfo(
        $0, length, &host, socklen_t(host.count), &port, socklen_t(port.count), NI_NUMERICHOST | NI_NUMERICSERV)
    }
    func text(_ characters: [CChar]) -> String {
      String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
    return (text(host), text(port))
  }

  private func withAddress<Result>(_ body: (UnsafePointer<sockaddr>) -> Result) -> Result {
    unsafe withUnsafePointer(to: storage) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe body($0) }
    }
  }

  /// Maximum number of connections that wait in the kernel to be accepted.
  static let listenQueueLength = 4096

  /// Returns a socket that listens on this address.
  func listen(shared: Bool) throws(ConfabError) -> Int32 {
    if let path { try UnixSocketFile.removeStale(path, self) }
    let family = Int32(storage.ss_family)
    let descriptor = shim_socket(family, Int32(shim_STREAM), 0)
    guard descriptor >= 0 else { throw listenError(shim_errno()) }
    if !isUnix { setOption(descriptor, SOL_SOCKET, SO_REUSEADDR, 1) }
    if shared { setOption(descriptor, SOL_SOCKET, SO_REUSEPORT, 1) }
    // IPv4 has its own socket.
    if family == AF_INET6 { setOption(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1) }
    guard unsafe withAddress({ unsafe bind(descriptor, $0, length) }) == 0,
      path.map({ unsafe chmod($0, UnixSocketFile.mode) }) ?? 0 == 0,
      CLibwebsockets.listen(descriptor, Int32(SocketAddress.listenQueueLength)) == 0
    else {
      let error = listenError(shim_errno())
      closeFile(descriptor)
      throw error
    }
    return descriptor
  }

  /// Returns a blocking socket that is connected to this address. Connecting, sending and receiving fail after
  /// `timeout`. Nil if it cannot connect; errno has the reason.
  func connect(within timeout: Duration) -> StreamSocket? {
    let connection = StreamSocket(descriptor: shim_socket(Int32(storage.ss_family), Int32(shim_STREAM), 1))
    guard connection.descriptor >= 0 else { return nil }
    connection.setTimeout(timeout)
    if unsafe withAddress({ unsafe CLibwebsockets.connect(connection.descriptor, $0, length) }) == 0 {
      return connection
    }
    let reason = shim_errno()
    connection.close()
    shim_set_errno(reason)
    return nil
  }

  private func listenError(_ number: Int32) -> ConfabError {
    let url = description
    return switch number {
    case EADDRINUSE:
      ConfabError(.addressInUse, "another program listens on \(url); stop it, or choose another port")
    case EACCES where isUnix: ConfabError(.cannotListen, "may not create \(url)")
    case EACCES:
      ConfabError(.cannotListen, "may not listen on \(url): ports below 1024 need privileges; choose another port")
    default:
      ConfabError(.cannotListen, "cannot listen on \(url): \(systemMessage(number) ?? "no reason is given")")
    }
  }
}
