private let day = Duration.seconds(86_400)
private let many = 1 << 30

extension Configuration {
  /// All limits.
  public static let limits: [Limit<Configuration>] = [
    Limit(
      "maxMessageSize", .bytes(\.maxMessageSize, 1...many), "Maximum message size",
      "Larger messages close the connection with 1009", .messageTooBig),
    Limit(
      "maxFragments", .count(\.maxFragments, 1...many), "Maximum number of fragments per message, including empty ones",
      "Messages with more fragments close the connection with 1008", .tooManyFragments),
    Limit(
      "maxUnfinishedBytes", .bytes(\.maxUnfinishedBytes, 1...(1 << 40)),
      "Maximum memory for incomplete messages of all connections",
      "A connection whose data would exceed the limit is closed with 1013", .tooManyUnfinished),
    Limit(
      "maxBacklog", .bytes(\.maxBacklog, 0...many),
      "Maximum backlog of one client: bytes that the server has accepted for the client and not yet handed to the kernel",
      """
      A client whose backlog exceeds the limit is evicted: its connection is closed with 1013. Other clients are not \
      delayed
      """, .tooFarBehind),
    Limit(
      "maxTotalBacklog", .bytes(\.maxTotalBacklog, 0...(1 << 40)), "Maximum memory for the backlogs of all clients",
      "The clients with the largest backlogs are evicted: their connections are closed with 1013", .tooFarBehind),
    Limit(
      "maxRoomsPerConnection", .count(\.maxRoomsPerConnection, 1...1024),
      "Maximum number of rooms that one connection is in",
      """
      At the limit, the connection cannot join another room. In the chat, the client gets the error tooManyRooms
      """),
    Limit(
      "maxConnections", .count(\.maxConnections, 1...many), "Maximum number of connections",
      "Additional connections get status 503", .tooManyConnections),
    Limit(
      "maxConnectionsPerAddress", .count(\.maxConnectionsPerAddress, 0...many),
      "Maximum number of connections from one IPv4 address or one /64 network of IPv6",
      "Additional connections get status 429", .tooManyFromAddress, meaningOfZero: "no limit"),
    Limit(
      "maxAcceptRate", .count(\.maxAcceptRate, 0...many), "Maximum number of new connections per second",
      "Additional connections wait in the kernel's queue", .acceptRate, meaningOfZero: "no limit"),
    Limit(
      "maxHeaderSize", .bytes(\.maxHeaderSize, 1024...16_384), "Maximum size of the request header section",
      "Larger requests get status 431", .headersTooLarge),
    Limit(
      "maxPathLength", .bytes(\.maxPathLength, 1...16_384), "Maximum length of the decoded request path",
      "Longer paths get status 414", .pathTooLong),
    Limit(
      "handshakeTimeout", .time(\.handshakeTimeout, .milliseconds(1)...day),
      "Maximum time from accepting the TCP connection to receiving the complete first request",
      "Slower clients get status 408", .handshakeTimeout),
    Limit(
      "maxMessageRate", .count(\.maxMessageRate, 0...many), "Maximum number of messages per second from one connection",
      "If a client sends faster, the server reads from it at this rate", .messageRate, meaningOfZero: "no limit"),
    Limit(
      "maxByteRate", .bytes(\.maxByteRate, 0...many), "Maximum number of message bytes per second from one connection",
      "If a client sends faster, the server reads from it at this rate", .byteRate, meaningOfZero: "no limit"),
    Limit(
      "maxPingRate", .count(\.maxPingRate, 0...many), "Maximum number of pings per second from one connection",
      "If a client sends faster, the server reads from it at this rate", .pingRate, meaningOfZero: "no limit"),
    Limit(
      "pingInterval", .time(\.pingInterval, .zero...day), "Time without activity before the server sends a ping",
      "The ping interval must be less than the idle timeout", meaningOfZero: "no pings"),
    Limit(
      "idleTimeout", .time(\.idleTimeout, .zero...day), "Time without activity after which a connection is dropped",
      "Received data, including pongs, and TCP acknowledgements of sent data count as activity", .idle,
      meaningOfZero: "no limit"),
    Limit(
      "closeTimeout", .time(\.closeTimeout, .zero...day), "Maximum time for a closing handshake",
      "A connection that takes longer is dropped", .closeTimeout),
    Limit(
      "drainTime", option: "drain", .time(\.drainTime, .zero...day),
      "Time over which a stopping server spreads the closing of its connections",
      "The stop timeout begins after this time", meaningOfZero: "no delay"),
    Limit(
      "stopTimeout", .time(\.stopTimeout, .zero...day),
      "Time after which a stopping server drops the connections that are still open",
      "The close timeout also applies to each closing handshake"),
    Limit(
      "sendBufferSize", option: "send-buffer", .bytes(\.sendBufferSize, 0...many),
      "Size of the kernel's send buffer for each connection",
      "The size limits the memory for a client that does not read, and the throughput to one client",
      meaningOfZero: "the size that the kernel chooses, up to 4 MiB"),
  ]
}
