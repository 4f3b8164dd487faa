public import Logging

/// All settings of a server, with their units, defaults and effects.
public struct Configuration: Sendable {
  // MARK: Listening

  /// Host name or numeric address to listen on. `0.0.0.0` and `::` listen on all addresses. The default is nil,
  /// loopback only: 127.0.0.1 and ::1, or whichever of them exists.
  public var host: String?
  /// TCP port, 0 to 65,535. 0 picks a free port, see ``Server/port``. The default is 8080.
  public var port: Int
  /// Number of event loops, 1 to 64. Each has a thread and a listener. The kernel spreads connections over the loops.
  /// All clients see messages in the same order, whichever loop they are on. The default is the number of cores
  /// available to the process, at most 4.
  public var loops = min(availableCores, 4)

  /// Whether other servers may listen on the same port at the same time (SO_REUSEPORT), so that the next server can
  /// start before this one stops. The other servers need this setting, too, and must run as the same user. The default
  /// is false: a port that is in use is an error.
  public var sharesPort = false
  /// Descriptors of listening TCP sockets, to be used in place of ``host`` and ``port``. The server takes them over,
  /// and closes them when it stops. All event loops accept from them. The default is none.
  public var listeningSockets: [Int32] = []

  /// The certificate. With one, the server speaks `https` and `wss` instead of `http` and `ws`. A page request without
  /// TLS is redirected with status 308; other requests without TLS get status 400. The default is none.
  public var tls: TLS?

  // MARK: Content

  /// Folders served over HTTP. The default is none.
  public var mounts: [Mount] = []
  /// Subprotocols of the server (RFC 6455, section 1.9): tokens. The server selects the first subprotocol in the
  /// client's list that it supports. A client that offers none of them is accepted without a subprotocol. The default
  /// is none.
  public var subprotocols: [String] = []

  /// Whether messages of ``Message/minCompressedSize`` bytes and more are compressed for clients that offer it
  /// (permessage-deflate, RFC 7692). A message is compressed once for all clients, without a dictionary for each
  /// connection. The default is true. In a room of 100, compressed texts of 200 bytes, 1 KiB and 16 KiB took 0.80, 0.61
  /// and 0.46 times the bytes on the wire, and 1.2, 1.1 and 1.2 times the CPU.
  public var offersCompression = true

  // MARK: Access

  /// Web origins whose pages may connect, as browsers send them (`https://example.org`). `*` allows every origin. If
  /// the server listens on loopback only, pages from loopback, at any port, and pages opened from a file (`null` or
  /// `file://`) may also connect. Otherwise, pages from the host and port of the request may also connect. Other
  /// origins get status 403. Non-browser clients send no origin; they are accepted unless ``requiresOrigin`` is set.
  /// The default is none.
  public var allowedOrigins: [String] = []
  /// Whether a client that sends no origin gets status 403. The default is false.
  public var requiresOrigin = false
  /// Host names that are allowed in the `Host` header, without port. Other names get status 403. The default is none,
  /// which allows all.
  public var allowedHosts: [String] = []

  /// Addresses (`192.0.2.1`) and networks (`10.0.0.0/8`) of trusted proxies. For their connections, the client's
  /// address comes from the PROXY header if ``proxyProtocol`` is set. Otherwise it is the rightmost address in
  /// `X-Forwarded-For` that is not a trusted proxy. Limits, logs and ``Request/remoteHost`` use the client's address. A
  /// malformed `X-Forwarded-For` gets status 400. A request without `X-Forwarded-For` counts for the proxy's address.
  /// From other addresses, the header is ignored. The default is none.
  public var trustedProxies: [String] = []
  /// Whether each connection of a trusted proxy must begin with a PROXY protocol header, version 1 or 2, before any
  /// TLS. If a trusted proxy does not send a valid header within ``handshakeTimeout``, the connection is dropped. The
  /// default is false.
  public var proxyProtocol = false

  // MARK: Limits, also in `limits`. 0 means no limit where `canBeOff` is true.

  /// Maximum message size in bytes. A larger message closes the connection with 1009 as soon as its size is known; the
  /// message is not kept. The default is 1 MiB.
  public var maxMessageSize = 1 << 20
  /// Maximum number of fragments per message, including empty ones. A message with more closes the connection with
  /// 1008. The default is 16,384.
  public var maxFragments = 16_384
  /// Maximum memory for incomplete messages of all connections, in bytes; each event loop gets an equal share. A
  /// connection that would exceed it is closed with 1013. The default is 256 MiB.
  public var maxUnfinishedBytes = 256 << 20
  /// Maximum backlog of a client, in bytes: those accepted for it and not yet handed to the kernel, not counting what
  /// the current turn has added to its log. A client that is further behind is closed with 1013; other clients are not
  /// delayed. Clients of one log share the bytes, so the backlogs of many clients take little more memory than one. The
  /// server pauses reading from a client whose backlog is more than half of the limit, so that a client is not closed
  /// with 1013 for its own messages. The default is 8 MiB.
  public var maxBacklog = 8 << 20
  /// Maximum memory for all backlogs of the process, of all its servers, in bytes. When less than ``maxBacklog`` is
  /// left, the remaining amount becomes the limit of each client; clients beyond it are closed with 1013. The default
  /// is 256 MiB.
  public var maxTotalBacklog = 256 << 20

  /// Maximum number of connections on all event loops, and at most as many as the process has file descriptors for.
  /// Further connections get status 503. The default is 16,384.
  public var maxConnections = 16_384
  /// Maximum number of connections from one address, or from one /64 network for IPv6. Further connections get status
  /// 429. Clients on loopback are exempt, see ``limitsLoopback``. The default is 256; 0 means no limit.
  public var maxConnectionsPerAddress = 256
  /// Maximum number of new connections per second on all event loops. Further connections wait in the kernel's queue.
  /// Clients on loopback are exempt. The default is 1,000; 0 means no limit.
  public var maxAcceptRate = 1000
  /// Maximum size of the request header section in bytes. It also limits the number of headers. Larger requests get
  /// status 431. The default is 8 KiB. With TLS, header names are not counted. Headers unknown to libwebsockets have a
  /// separate limit: twice this size. A connection beyond it is dropped without a response.
  public var maxHeaderSize = 8 << 10
  /// Maximum length of the decoded request path in bytes. Longer paths get status 414. The default is 1 KiB.
  public var maxPathLength = 1 << 10
  /// Time from the TCP connection to the end of the first request. A client that takes longer gets status 408; during a
  /// TLS handshake, it is dropped without a response. The default is 10 s.
  public var handshakeTimeout: Duration = .seconds(10)

  /// Maximum number of messages per second from one connection. The server pauses reading from a faster client, so that
  /// TCP slows the client down; no messages are lost. Clients on loopback are exempt. The default is 500; 0 means no
  /// limit.
  public var maxMessageRate = 500
  /// Maximum number of message bytes per second from one connection, after inflating. A fragment counts as at least 8
  /// KiB. The server pauses reading from a faster client, as for ``maxMessageRate``. The default is 4 MiB; 0 means no
  /// limit.
  public var maxByteRate = 4 << 20
  /// Maximum number of pings per second from one connection. The server pauses reading from a faster client, as for
  /// ``maxMessageRate``. The default is 50; 0 means no limit.
  public var maxPingRate = 50
  /// Time without activity before the server sends a ping. Must be less than ``idleTimeout``. The default is 30 s; 0
  /// means no pings.
  public var pingInterval: Duration = .seconds(30)
  /// Time without activity after which a connection is dropped. Received data and pongs count as activity. An
  /// acknowledgement by TCP counts only for data sent before the ping. The default is 60 s; 0 means no limit.
  public var idleTimeout: Duration = .seconds(60)
  /// Time for a closing handshake: the client reads what was sent before the close frame, and answers the close frame.
  /// The connection is dropped afterwards. The default is 5 s.
  public var closeTimeout: Duration = .seconds(5)
  /// Whether ``maxConnectionsPerAddress`` and the rate limits, including ``maxAcceptRate``, apply to clients on
  /// loopback, too. They are exempt by default, because a proxy on the same machine may connect for many clients. The
  /// default is false.
  public var limitsLoopback = false

  /// High-water mark in bytes. ``Connection/send(_:)-(Message)`` returns ``Connection/SendResult/backlogged`` while the
  /// backlog of the connection is larger. The default is 64 KiB.
  public var backlogMark = 64 << 10
  /// Bytes, for all members together, that a loop writes to logs' members before it does other work. Writing the default
  /// of 4 MiB takes a few milliseconds. Each log gets at least one segment written.
  package var maxTurnDelivery = 4 << 20
  /// Time after which ``Server/stop(within:)`` drops the connections that are still open. Each closing handshake also
  /// has ``closeTimeout``. The default is 5 s.
  public var stopTimeout: Duration = .seconds(5)
  /// Time over which ``Server/stop(within:)`` spreads the closing of connections; ``stopTimeout`` begins afterwards.
  /// See ``Handler/moving(_:after:)``. The default is 0: all connections are closed at once.
  public var drainTime: Duration = .zero

  // MARK: Memory

  /// Size of the kernel's send buffer for each connection, in bytes (SO_SNDBUF). It bounds the data that the kernel
  /// holds for a client that does not read. Linux doubles the value, and limits it to `net.core.wmem_max`. 0 leaves the
  /// size to the kernel, which uses up to 4 MiB. The buffer also limits the throughput to one client, to twice this
  /// size per round trip. The default is 128 KiB.
  public var sendBufferSize = 128 << 10

  // MARK: Logging

  /// The logger of the server and of libwebsockets.
  public var logger: Logger

  /// Creates a configuration with these arguments, and the defaults for all other settings.
  public init(
    host: String? = nil, port: Int = 8080, mounts: [Mount] = [], logger: Logger = Logger(label: "confab")
  ) {
    self.host = host
    self.port = port
    self.mounts = mounts
    self.logger = logger
  }

  func validate() throws(ConfabError) {
    if let problem = problems.first { throw ConfabError(.invalidConfiguration, problem.message()) }
  }

  /// All problems of the settings.
  package var problems: [Problem] {
    var problems: [Problem] = []
    func require(_ condition: Bool, _ settings: String..., text: @escaping @Sendable ([String]) -> String) {
      if !condition { problems.append(Problem(settings, text: text)) }
    }
    require((0...65_535).contains(port), "port") { "\($0[0]) must be 0 to 65535, not \(port)" }
    require((1...64).contains(loops), "loops") { "\($0[0]) must be 1 to 64, not \(loops)" }
    problems += Configuration.limits.compactMap { $0.problem(in: self) }
    require(
      pingInterval == .zero || idleTimeout == .zero || pingInterval < idleTimeout, "pingInterval", "idleTimeout"
    ) {
      "\($0[0]) must be less than \($0[1]), but is \(pingInterval.inSeconds) s with \(idleTimeout.inSeconds) s"
    }
    require(backlogMark >= 0, "backlogMark") { "\($0[0]) must not be negative, but is \(backlogMark)" }
    require((0...(1 << 30)).contains(sendBufferSize), "sendBufferSize") {
      "\($0[0]) must be 0 to 1073741824, not \(sendBufferSize)"
    }
    require(stopTimeout >= .zero && stopTimeout <= .seconds(86_400), "stopTimeout") {
      "\($0[0]) must be 0 to 86400 s, not \(stopTimeout.inSeconds) s"
    }
    require(drainTime >= .zero && drainTime <= .seconds(86_400), "drainTime") {
      "\($0[0]) must be 0 to 86400 s, not \(drainTime.inSeconds) s"
    }
    for origin in allowedOrigins {
      require(origin == "*" || origin == "null" || Origin(origin) != nil, "allowedOrigins") {
        "\($0[0]): '\(origin)' is not an origin: it must be like https://example.org, null or *"
      }
    }
    for host in allowedHosts {
      require(Authority(host).map { $0.port == nil } ?? false, "allowedHosts") {
        "\($0[0]): '\(host)' is not a host: it must be a name or an address, without a port, like example.org"
      }
    }
    for proxy in trustedProxies {
      require(AddressRange(proxy) != nil, "trustedProxies") {
        "\($0[0]): '\(proxy)' is not an address or network: it must be like 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32"
      }
    }
    require(!proxyProtocol || !trustedProxies.isEmpty, "proxyProtocol", "trustedProxies") {
      "\($0[0]) needs \($0[1]): otherwise any client could claim any address"
    }
    for name in subprotocols {
      require(name.isToken, "subprotocols") { _ in
        "'\(name)' is not a subprotocol: it must be a token (RFC 7230, section 3.2.6)"
      }
      let canBeRead = name.utf8.count <= Subprotocols.maxName && !("0"..."9").contains(name.first ?? "_")
      require(canBeRead, "subprotocols") { _ in
        "libwebsockets cannot read the subprotocol '\(name)': it must not be longer than \(Subprotocols.maxName) bytes, "
          + "nor begin with a digit"
      }
    }
    for mount in mounts {
      require(mount.path.begins(with: "/"), "mounts") { _ in
        "the path of a mount must begin with '/', but is '\(mount.path)'"
      }
      require(mount.path == "/" || !mount.path.ends(with: "/"), "mounts") { _ in
        "the path of a mount must not end with '/', but is '\(mount.path)'"
      }
      require(mount.path.utf8.count < 256, "mounts") { _ in
        "the path of a mount must be shorter than 256 bytes: '\(mount.path)'"
      }
      require(isDirectory(mount.directory), "mounts") {
        "\($0[0]): there is no folder '\(mount.directory)' to serve at \(mount.path)"
      }
    }
    return problems
  }
}

/// A problem of one or more settings.
package struct Problem: Sendable {
  /// The names of the settings in Swift, beginning with the one that is wrong.
  package let settings: [String]
  private let text: @Sendable ([String]) -> String

  package init(_ settings: [String], text: @escaping @Sendable ([String]) -> String) {
    (self.settings, self.text) = (settings, text)
  }

  /// Returns one sentence about the problem. `name` maps each setting's name in Swift to the one in the message.
  package func message(naming name: (String) -> String = { $0 }) -> String { text(settings.map(name)) }
}

/// A folder that is served over HTTP by libwebsockets' static mount (`lws_http_mount`).
public struct Mount: Sendable {
  /// URL path of the folder: `/`, or a path without a slash at its end.
  public var path: String
  /// Folder on disk.
  public var directory: String
  /// File that is served when a folder is requested.
  public var index: String

  /// Creates a mount of `directory` at `path`.
  public init(path: String = "/", directory: String, index: String = "index.html") {
    self.path = path
    self.directory = directory
    self.index = index
  }
}

extension String {
  /// Whether the text is an HTTP token (RFC 7230, section 3.2.6).
  var isToken: Bool {
    !isEmpty
      && utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"):
          true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
      }
  }
}
