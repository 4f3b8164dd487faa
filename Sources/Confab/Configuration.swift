public import Logging

/// All settings of a server. Sizes are in bytes.
public struct Configuration: Sendable {
  // MARK: Listening

  /// Host name or numeric address to listen on. `0.0.0.0` and `::` listen on all addresses. The default is nil,
  /// loopback only: 127.0.0.1 and ::1, or one of them if the other does not exist.
  ///
  /// With `unix:` and a path, such as `unix:/run/confab/chat.sock`, the server listens on a Unix domain socket
  /// (unix(7)), and ignores ``port``. The path has at most 107 bytes on Linux. Programs of the server's user and group
  /// may connect. Their address is 127.0.0.1, also for ``trustedProxies``. The socket of a server that has crashed is
  /// replaced. The server removes the socket when it begins to stop.
  public var host: String?
  /// TCP port, 0 to 65,535. 0 picks a free port, see ``Server/port``. The default is 8080.
  public var port: Int
  /// Number of event loops, 1 to 64. Each loop has a thread and a listener. The kernel spreads connections over the
  /// loops. All clients get the messages of a log in the same order, on all loops. The default is the number of cores
  /// available to the process, at most 4.
  public var loops = min(availableCores, 4)

  /// Whether other servers may listen on the same port at the same time (SO_REUSEPORT), so that the next server can
  /// start before this one stops. The other servers need this setting, too, and must run as the same user. The default
  /// is false: a port that is in use is an error.
  public var sharesPort = false
  /// Descriptors of listening TCP or Unix domain sockets that the server uses instead of ``host`` and ``port``. The
  /// server owns the sockets when it has been created: do not use or close them afterwards. If the server's initializer
  /// throws, you still own the sockets. All event loops accept from all of these sockets. The default is none.
  public var listeningSockets: [Int32] = []

  /// The certificate. With one, the server speaks `https` and `wss` instead of `http` and `ws`. Page requests without
  /// TLS are redirected to https with status 308; other requests without TLS get status 400. The default is none.
  public var tls: TLS?

  // MARK: Content

  /// Folders served over HTTP. The default is none.
  public var mounts: [Mount] = []
  /// Subprotocols of the server (RFC 6455, section 1.9): tokens of at most 62 bytes that do not begin with a digit. The
  /// server selects the first subprotocol in the client's list that is one of these. A client that requests none of
  /// these is accepted without a subprotocol. The default is none.
  public var subprotocols: [String] = []

  /// Whether messages of ``Message/minCompressedSize`` bytes and more are compressed for clients that offer
  /// permessage-deflate (RFC 7692). All clients share the compressed message: connections have no dictionaries. If some
  /// clients have requested a smaller window, the message is compressed a second time for them. The default is true. In
  /// a room of 100, compressed texts of 200 bytes, 1 KiB and 16 KiB took 0.80, 0.61 and 0.46 times the bytes on the
  /// wire, and 1.2, 1.1 and 1.2 times the CPU.
  public var offersCompression = true

  // MARK: Access

  /// Web origins whose pages may connect, as browsers send them (`https://example.org`). `*` allows every origin. If
  /// the server listens on loopback only, clients on this machine may also connect from pages of loopback, at any port,
  /// and from pages opened from a file (`null` or `file://`). If the server listens on other addresses, pages whose origin has the host and port of
  /// the request may also connect. Other origins get status 403. Clients that are not browsers usually send no origin.
  /// Such clients are accepted unless ``requiresOrigin`` is set. The default is none.
  public var allowedOrigins: [String] = []
  /// Whether a client that sends no origin gets status 403. The default is false.
  public var requiresOrigin = false
  /// Host names that are allowed in the `Host` header, without port. Other names get status 403. The default is none,
  /// which allows all.
  public var allowedHosts: [String] = []

  /// Addresses (`192.0.2.1`) and networks (`10.0.0.0/8`) of trusted proxies. For their connections, the client's
  /// address comes from the PROXY header if ``proxyProtocol`` is set. Otherwise it is the rightmost address in
  /// `X-Forwarded-For` that is not a trusted proxy. Limits, logs and ``Request/remoteHost`` use the client's address. A
  /// malformed `X-Forwarded-For` gets status 400. A request of a trusted proxy without `X-Forwarded-For` has the
  /// proxy's address. `X-Forwarded-For` from other addresses is ignored. The default is none.
  public var trustedProxies: [String] = []
  /// Whether each connection of a trusted proxy must begin with a PROXY protocol header, version 1 or 2, before any
  /// TLS. If a trusted proxy does not send a valid header within ``handshakeTimeout``, the connection is dropped. The
  /// default is false.
  public var proxyProtocol = false

  // MARK: Limits, also in `limits`

  /// Maximum message size. Larger messages close the connection with 1009. The connection is closed as soon as the size
  /// is known; the message is not kept. Range: 1 byte to 1 GiB. The default is 1 MiB.
  public var maxMessageSize = 1 << 20
  /// Maximum number of fragments per message, including empty ones. Messages with more fragments close the connection
  /// with 1008. Range: 1 to 2^30. The default is 16,384.
  public var maxFragments = 16_384
  /// Maximum memory for incomplete messages of all connections. A connection whose data would exceed the limit is
  /// closed with 1013. Each event loop gets an equal share. Range: 1 byte to 1 TiB. The default is 256 MiB.
  public var maxUnfinishedBytes = 256 << 20
  /// Maximum backlog of one client: bytes that the server has accepted for the client and not yet handed to the kernel.
  /// A client whose backlog exceeds the limit is evicted: its connection is closed with 1013. Other clients are not
  /// delayed. Bytes that were added to the client's logs in the current turn are not counted. Clients of one log share
  /// the bytes, so the backlogs of many clients take little more memory than one. The server pauses reading from a
  /// client whose backlog is more than half of the limit, so that a client is not evicted because of messages that it
  /// has sent itself. Range: 0 to 1 GiB. The default is 8 MiB.
  public var maxBacklog = 8 << 20
  /// Maximum memory for the backlogs of all clients. The clients with the largest backlogs are evicted: their
  /// connections are closed with 1013. The limit applies to all servers of the process together. The backlog
  /// limit of each client is ``maxBacklog`` or the unused part of this memory, whichever is smaller. Range: 0 to 1 TiB.
  /// The default is 256 MiB.
  public var maxTotalBacklog = 256 << 20

  /// Maximum number of rooms that one connection is in. At the limit, the connection cannot join another room. In the
  /// chat, the client gets the error tooManyRooms. Without the chat, a room is a ``BroadcastLog`` that the connection
  /// has joined, and ``Connection/join(_:)`` returns false. Range: 1 to 1024. The default is 64.
  public var maxRoomsPerConnection = 64

  /// Maximum number of connections. Additional connections get status 503. The number of file descriptors that the
  /// process may open also limits the number of connections. Range: 1 to 2^30. The default is 16,384.
  public var maxConnections = 16_384
  /// Maximum number of connections from one IPv4 address or one /64 network of IPv6. Additional connections get status
  /// 429. Clients on loopback are exempt, see ``limitsLoopback``. 0 means no limit. Range: 0 to 2^30. The default is
  /// 256.
  public var maxConnectionsPerAddress = 256
  /// Maximum number of new connections per second. Additional connections wait in the kernel's queue. Clients on
  /// loopback are exempt. 0 means no limit. Range: 0 to 2^30. The default is 1,000.
  public var maxAcceptRate = 1000
  /// Maximum size of the request header section. Larger requests get status 431. The size also limits the number of
  /// headers. With TLS, header names are not counted, and headers that libwebsockets does not know by name have a
  /// separate limit of twice this size. A connection that exceeds the separate limit is dropped without a response.
  /// Range: 1 KiB to 16 KiB. The default is 8 KiB.
  public var maxHeaderSize = 8 << 10
  /// Maximum length of the decoded request path. Longer paths get status 414. Range: 1 byte to 16 KiB. The default is 1
  /// KiB.
  public var maxPathLength = 1 << 10
  /// Maximum time from accepting the TCP connection to receiving the complete first request. Slower clients get status
  /// 408. Clients that have not completed the TLS handshake are dropped without a response. Range: 1 ms to 1 day. The
  /// default is 10 s.
  public var handshakeTimeout: Duration = .seconds(10)

  /// Maximum number of messages per second from one connection. If a client sends faster, the server reads from it at
  /// this rate. TCP flow control then slows the client down. No messages are lost. Clients on loopback are exempt. 0
  /// means no limit. Range: 0 to 2^30. The default is 500.
  public var maxMessageRate = 500
  /// Maximum number of message bytes per second from one connection. If a client sends faster, the server reads from it
  /// at this rate. Bytes are counted after inflating, and a fragment counts as at least 8 KiB. Clients on loopback are
  /// exempt. 0 means no limit. Range: 0 to 1 GiB. The default is 4 MiB.
  public var maxByteRate = 4 << 20
  /// Maximum number of pings per second from one connection. If a client sends faster, the server reads from it at this
  /// rate. Clients on loopback are exempt. 0 means no limit. Range: 0 to 2^30. The default is 50.
  public var maxPingRate = 50
  /// Time without activity before the server sends a ping. The ping interval must be less than the idle timeout. 0
  /// means no pings. Range: 0 to 1 day. The default is 30 s.
  public var pingInterval: Duration = .seconds(30)
  /// Time without activity after which a connection is dropped. Received data, including pongs, and TCP
  /// acknowledgements of sent data count as activity. An acknowledgement of the ping itself does not count. 0 means no
  /// limit. Range: 0 to 1 day. The default is 60 s.
  public var idleTimeout: Duration = .seconds(60)
  /// Maximum time for a closing handshake. A connection that takes longer is dropped. Within this time, the client must
  /// read all data that was sent before the close frame, and answer the close frame. Range: 0 to 1 day. The default is
  /// 5 s.
  public var closeTimeout: Duration = .seconds(5)
  /// Time over which a stopping server spreads the closing of its connections. The stop timeout begins after this time.
  /// See ``Server/stop(within:)`` and ``Handler/moving(_:after:)``. 0 means no delay. Range: 0 to 1 day. The default is
  /// 0 s.
  public var drainTime: Duration = .zero
  /// Time after which a stopping server drops the connections that are still open. The close timeout also applies to
  /// each closing handshake. Range: 0 to 1 day. The default is 5 s.
  public var stopTimeout: Duration = .seconds(5)
  /// Size of the kernel's send buffer for each connection. The size limits the memory for a client that does not read,
  /// and the throughput to one client. Linux doubles the value (SO_SNDBUF), and limits the value to
  /// `net.core.wmem_max`. The throughput is at most twice this size per round trip. 0 means the size that the kernel
  /// chooses, up to 4 MiB. Range: 0 to 1 GiB. The default is 128 KiB.
  public var sendBufferSize = 128 << 10

  /// Whether ``maxConnectionsPerAddress`` and the rate limits, including ``maxAcceptRate``, apply to clients on
  /// loopback, too. By default, clients on loopback are exempt, because a proxy on the same machine may connect for
  /// many clients. The default is false.
  public var limitsLoopback = false
  /// High-water mark in bytes. ``Connection/send(_:)-(Message)`` returns ``Connection/SendResult/backlogged`` while the
  /// backlog of the connection is larger. The default is 64 KiB.
  public var backlogMark = 64 << 10
  /// Maximum number of bytes that a loop writes to the members of all its logs before it does other work. Writing the
  /// default of 4 MiB takes a few milliseconds. At least one segment of each log is written.
  package var maxTurnDelivery = 4 << 20

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
}

/// A folder that is served over HTTP by libwebsockets' static mount (`lws_http_mount`).
public struct Mount: Sendable {
  /// URL path of the folder: `/`, or a path that begins with `/`, does not end with `/` and is shorter than 256 bytes.
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
