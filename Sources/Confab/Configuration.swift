public import Logging

/// Every setting of a server: its unit, its default, and what happens at the limit.
public struct Configuration: Sendable {
  // MARK: Where to listen

  /// The host name or address to listen on. The default, nil, is this machine only: 127.0.0.1 and ::1, or the one of
  /// them that there is. `0.0.0.0` or `::` is every address.
  public var host: String?
  /// The TCP port, 0 to 65,535. 0 takes a free one, see ``Server/port``. The default is 8080.
  public var port: Int
  /// Event loops, each a thread with its own listener, 1 to 64. The default is the number of cores that the process may
  /// use, at most 4. The kernel spreads connections over them; everyone sees the same order, whatever loop they are on.
  public var loops = min(availableCores, 4)

  /// Whether other servers may listen on the same port at the same time, if they say so as well and run as the same user
  /// (SO_REUSEPORT): the next one can start before this one stops. The default is false: a port that is taken is an error.
  public var sharesPort = false
  /// Descriptors of sockets that listen already, of TCP: taken over in place of ``host`` and ``port``, and closed when the
  /// server stops. All event loops accept from them. The default is none.
  public var listeningSockets: [Int32] = []

  /// The certificate for `https` and `wss`, which are spoken instead of `http` and `ws` then. A request without TLS for a
  /// page is redirected (status 308), another one refused. The default is none.
  public var tls: TLS?

  // MARK: What to serve

  /// Folders served over HTTP. The default is none.
  public var mounts: [Mount] = []
  /// The subprotocols the server speaks (RFC 6455, section 1.9): tokens. A client that offers some of them gets the
  /// first of its list, one that offers none goes on without. The default is none.
  public var subprotocols: [String] = []

  /// Whether messages are compressed for clients that offer it (permessage-deflate, RFC 7692): once for all of them, from
  /// ``Message/minCompressedSize`` bytes on. The default is true: in a room of 100, text of 200 bytes, 1 KiB and 16 KiB
  /// took 0.80, 0.61 and 0.46 times the bytes on the wire and 1.2, 1.1 and 1.2 times the CPU, shorter messages nothing
  /// more, and no connection keeps a dictionary.
  public var offersCompression = true

  // MARK: Who is let in

  /// Web origins whose pages may connect, as browsers send them, `https://example.org`; `*` is every one. The default is
  /// none beyond these: listening on loopback only, pages from loopback at any port, and those opened from a file
  /// (`null`); listening on anything else, pages from the host and port that the request is for. Another origin gets
  /// status 403. A client that sends no origin is no browser, and let in.
  public var allowedOrigins: [String] = []
  /// Whether a client that sends no origin gets status 403. The default is false.
  public var requiresOrigin = false
  /// Host names that requests may be for, without port. The default is none: any. Another one gets status 403.
  public var allowedHosts: [String] = []

  /// Addresses and networks, `192.0.2.1` or `10.0.0.0/8`, of proxies that are believed when they tell the client's address:
  /// by ``proxyProtocol``, or by the rightmost address in `X-Forwarded-For` that is not one of theirs. Limits, logs and
  /// ``Request/remoteHost`` then refer to that client. An unreadable `X-Forwarded-For` gets status 400; a request without
  /// one counts for the proxy's address. From any other address the header is ignored. The default is none.
  public var trustedProxies: [String] = []
  /// Whether each connection of a trusted proxy must begin with a header of the PROXY protocol, version 1 or 2, before TLS
  /// if that is spoken. A connection without one is ended. The default is false.
  public var proxyProtocol = false

  // MARK: Limits, which ``limits`` has as a table. 0 is no limit where it is allowed.

  /// The longest message that is accepted, in bytes. The default is 1 MiB. Over it the connection is closed with 1009,
  /// as soon as it can be seen, without keeping the message.
  public var maxMessageSize = 1 << 20
  /// The most fragments of one message, empty ones included. The default is 16,384. Over it: 1008.
  public var maxFragments = 16_384
  /// The most bytes of messages that have not come whole, of all connections together, each event loop having its part.
  /// The default is 256 MiB. Who sends more is closed with 1013.
  public var maxUnfinishedBytes = 256 << 20
  /// The most bytes of messages that a client may have unread before the newest batch. The default is 8 MiB. A client
  /// further behind is closed with 1013; no other client is held up. Clients of one log share the bytes, so their backlogs
  /// cost little more than one. A client that is more than half of the limit behind is not read, so that it is not evicted
  /// for messages that it sends itself.
  public var maxBacklog = 8 << 20
  /// The memory that all backlogs may take together, in bytes. The default is 256 MiB. It is for the process: all servers
  /// in it count. When less than ``maxBacklog`` is left of it, the limit of each client is what is left.
  public var maxTotalBacklog = 256 << 20

  /// The most connections at a time, on all event loops together. The default is 16,384, and never more than the
  /// process has file descriptors for. One more gets status 503.
  public var maxConnections = 16_384
  /// The most connections of one address at a time; of IPv6, of one /64 network. The default is 256. One more gets
  /// status 429. Peers on loopback are exempt, see ``limitsLoopback``.
  public var maxConnectionsPerAddress = 256
  /// The most new connections a second, on all event loops together. The default is 1,000. More wait in the kernel's
  /// queue. Peers on loopback are exempt.
  public var maxAcceptRate = 1000
  /// The longest request header section, in bytes. The default is 8 KiB. Over it: status 431. It bounds the number of
  /// headers, too. Where TLS is spoken, names of headers do not count, and neither do headers that libwebsockets does not
  /// know by name: those are in its table, of twice that size, and what does not fit is dropped without an answer.
  public var maxHeaderSize = 8 << 10
  /// The longest path of a request, in bytes, decoded. The default is 1 KiB. Over it: status 414.
  public var maxPathLength = 1 << 10
  /// How long a client may take from TCP connection to the end of its first request. The default is 10 s. Then: status
  /// 408, or nothing within a TLS handshake.
  public var handshakeTimeout: Duration = .seconds(10)

  /// The most messages a second of one connection. The default is 500. A connection with more is not read for a while,
  /// so that TCP slows the peer down; nothing is lost. Peers on loopback are exempt.
  public var maxMessageRate = 500
  /// The most bytes of messages a second of one connection, as they are inflated. A fragment counts as 8 KiB at least.
  /// The default is 4 MiB. As ``maxMessageRate``.
  public var maxByteRate = 4 << 20
  /// The most pings a second of one connection. The default is 50. As ``maxMessageRate``.
  public var maxPingRate = 50
  /// How long a connection may be silent before it is sent a ping. The default is 30 s.
  public var pingInterval: Duration = .seconds(30)
  /// Idle timeout. Data, pongs, and acknowledged bytes of what was sent before a ping count as activity. Idle connections
  /// are dropped. The default is 60 s.
  public var idleTimeout: Duration = .seconds(60)
  /// How long a closing handshake may take: what the peer has still to read, and its answer. The default is 5 s. Then
  /// the connection is cut off.
  public var closeTimeout: Duration = .seconds(5)
  /// Whether limits of rates and addresses are for peers on loopback, too. The default is false: these are programs of
  /// this machine, or a proxy on it that stands for many peers and has limits of its own.
  public var limitsLoopback = false

  /// The backlog from which ``Connection/send(_:)-(Message)`` says ``Connection/SendResult/backlogged``, in bytes. The default is
  /// 64 KiB.
  public var backlogMark = 64 << 10
  /// How long ``Server/stop(within:)`` lets closing handshakes take. The default is 5 s.
  public var stopTimeout: Duration = .seconds(5)
  /// Over how long ``Server/stop(within:)`` spreads the closing of connections before that, see
  /// ``Handler/moving(_:after:)``. The default is 0: all at once.
  public var drainTime: Duration = .zero

  // MARK: Memory

  /// SO_SNDBUF of each connection, in bytes: what the kernel holds for a reader that does not read. The default is
  /// 128 KiB. Linux takes double, and no more than its `net.core.wmem_max` allows; 0 leaves it to the kernel, which goes
  /// up to 4 MiB. It bounds the rate to one client as well: this many bytes twice, for each round trip.
  public var sendBufferSize = 128 << 10

  // MARK: Telling

  /// Where the server and libwebsockets log to.
  public var logger: Logger

  /// The defaults, but for what is given.
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

  /// All that is wrong with the settings.
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
        "\($0[0]): '\(origin)' is no origin: it must be like https://example.org, or null, or *"
      }
    }
    for host in allowedHosts {
      require(Authority(host).map { $0.port == nil } ?? false, "allowedHosts") {
        "\($0[0]): '\(host)' is no host: it must be a name or an address, without a port, like example.org"
      }
    }
    for proxy in trustedProxies {
      require(AddressRange(proxy) != nil, "trustedProxies") {
        "\($0[0]): '\(proxy)' is no address or network: it must be like 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32"
      }
    }
    require(!proxyProtocol || !trustedProxies.isEmpty, "proxyProtocol", "trustedProxies") {
      "\($0[0]) needs \($0[1]): anybody could claim any address otherwise"
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

/// What is wrong with settings.
package struct Problem: Sendable {
  /// The settings that it is about, by their names in Swift, the one to blame first.
  package let settings: [String]
  private let text: @Sendable ([String]) -> String

  package init(_ settings: [String], text: @escaping @Sendable ([String]) -> String) {
    (self.settings, self.text) = (settings, text)
  }

  /// One sentence, in which each setting is called what `name` makes of its name in Swift.
  package func message(naming name: (String) -> String = { $0 }) -> String { text(settings.map(name)) }
}

/// A folder that is served over HTTP, by libwebsockets' static mount (`lws_http_mount`).
public struct Mount: Sendable {
  /// Where it appears: `/` or a path without a slash at its end.
  public var path: String
  /// The folder on disk.
  public var directory: String
  /// What a request for a folder gets.
  public var index: String

  /// A folder at `path`, whose `index` is what a request for a folder gets.
  public init(path: String = "/", directory: String, index: String = "index.html") {
    self.path = path
    self.directory = directory
    self.index = index
  }
}

extension String {
  /// Whether it is a token of HTTP, RFC 7230, section 3.2.6.
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
