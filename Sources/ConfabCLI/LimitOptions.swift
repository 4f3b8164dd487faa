import ArgumentParser
import Confab
import ConfabChat

private let defaults = Configuration()
private let chatDefaults = ChatOptions()

/// Options that control access.
struct AccessOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      Web origin whose pages may connect, like https://example.org; '*' allows every origin. May be given several \
      times. If the server listens on loopback only, pages from loopback and pages opened from a file may always \
      connect. Otherwise, pages from the host and port of the request may always connect. (default: none)
      """,
      valueName: "origin"))
  var allowOrigin: [String] = []

  @Flag(inversion: .prefixedNo, help: "Reject clients that send no Origin header. Browsers always send one.")
  var requireOrigin = false

  @Option(
    help: ArgumentHelp(
      "Host name that is accepted in the Host header. May be given several times. (default: any)", valueName: "host"))
  var allowHost: [String] = []

  @Option(
    help: ArgumentHelp(
      """
      Address of a trusted proxy, or network of trusted proxies, like 10.0.0.0/8. The server takes the addresses of \
      their clients from X-Forwarded-For or the PROXY protocol. May be given several times. (default: none)
      """,
      valueName: "address"))
  var trustedProxy: [String] = []

  @Flag(
    inversion: .prefixedNo,
    help: "Require a PROXY protocol header, version 1 or 2, on each connection of a trusted proxy.")
  var proxyProtocol = false

  func apply(to configuration: inout Configuration) {
    configuration.trustedProxies = trustedProxy
    configuration.proxyProtocol = proxyProtocol
    configuration.allowedOrigins = allowOrigin
    configuration.requiresOrigin = requireOrigin
    configuration.allowedHosts = allowHost
  }
}

/// Options for ``Configuration/limits``.
struct LimitOptions: ParsableArguments {
  @Option(help: .limit("maxMessageSize", "size"))
  var maxMessageSize = ByteCount(defaults.maxMessageSize)
  @Option(help: .limit("maxFragments", "count"))
  var maxFragments = defaults.maxFragments
  @Option(help: .limit("maxUnfinishedBytes", "size"))
  var maxUnfinishedBytes = ByteCount(defaults.maxUnfinishedBytes)
  @Option(help: .limit("maxBacklog", "size"))
  var maxBacklog = ByteCount(defaults.maxBacklog)
  @Option(help: .limit("maxTotalBacklog", "size"))
  var maxTotalBacklog = ByteCount(defaults.maxTotalBacklog)
  @Option(help: .limit("maxConnections", "count"))
  var maxConnections = defaults.maxConnections
  @Option(help: .limit("maxConnectionsPerAddress", "count"))
  var maxConnectionsPerAddress = defaults.maxConnectionsPerAddress
  @Option(help: .limit("maxAcceptRate", "count"))
  var maxAcceptRate = defaults.maxAcceptRate
  @Option(help: .limit("maxHeaderSize", "size"))
  var maxHeaderSize = ByteCount(defaults.maxHeaderSize)
  @Option(help: .limit("maxPathLength", "size"))
  var maxPathLength = ByteCount(defaults.maxPathLength)
  @Option(help: .limit("handshakeTimeout", "seconds"))
  var handshakeTimeout = Seconds(defaults.handshakeTimeout)
  @Option(help: .limit("maxMessageRate", "count"))
  var maxMessageRate = defaults.maxMessageRate
  @Option(help: .limit("maxByteRate", "size"))
  var maxByteRate = ByteCount(defaults.maxByteRate)
  @Option(help: .limit("maxPingRate", "count"))
  var maxPingRate = defaults.maxPingRate
  @Option(help: .limit("pingInterval", "seconds"))
  var pingInterval = Seconds(defaults.pingInterval)
  @Option(help: .limit("idleTimeout", "seconds"))
  var idleTimeout = Seconds(defaults.idleTimeout)
  @Option(help: .limit("closeTimeout", "seconds"))
  var closeTimeout = Seconds(defaults.closeTimeout)

  @Flag(
    inversion: .prefixedNo,
    help: """
      Apply --max-connections-per-address and the rate limits, including --max-accept-rate, to clients on loopback, too.
      """)
  var limitLoopback = false

  func apply(to configuration: inout Configuration) {
    set(Configuration.limits, of: &configuration)
    configuration.limitsLoopback = limitLoopback
  }
}

/// Options for ``ChatOptions/limits``.
struct ChatLimitOptions: ParsableArguments {
  @Option(help: .chatLimit("maxRooms", "count"))
  var maxRooms = chatDefaults.maxRooms
  @Option(help: .chatLimit("maxHistoryMessages", "count"))
  var maxHistoryMessages = chatDefaults.maxHistoryMessages
  @Option(help: .chatLimit("maxHistoryBytes", "size"))
  var maxHistoryBytes = ByteCount(chatDefaults.maxHistoryBytes)
  @Option(help: .chatLimit("maxHistoryAge", "seconds"))
  var maxHistoryAge = Seconds(chatDefaults.maxHistoryAge)
  @Option(help: .chatLimit("maxTotalHistoryBytes", "size"))
  var maxTotalHistoryBytes = ByteCount(chatDefaults.maxTotalHistoryBytes)
  @Option(help: .chatLimit("maxPendingBytes", "size"))
  var maxPendingBytes = ByteCount(chatDefaults.maxPendingBytes)
  @Option(help: .chatLimit("joinMessages", "count"))
  var joinMessages = chatDefaults.joinMessages
  @Option(help: .chatLimit("maxTextLength", "count"))
  var maxTextLength = chatDefaults.maxTextLength
  @Option(help: .chatLimit("maxNameLength", "count"))
  var maxNameLength = chatDefaults.maxNameLength
  @Option(help: .chatLimit("maxEventRate", "count"))
  var maxEventRate = chatDefaults.maxEventRate
  @Option(help: .chatLimit("maxEventBurst", "count"))
  var maxEventBurst = chatDefaults.maxEventBurst
  @Option(help: .chatLimit("maxRenameRate", "count"))
  var maxRenameRate = chatDefaults.maxRenameRate

  var options: ChatOptions {
    var options = ChatOptions()
    set(ChatOptions.limits, of: &options)
    return options
  }
}

extension ParsableArguments {
  /// Sets each limit of `settings` to the value of its option.
  fileprivate func set<Settings>(_ limits: [Limit<Settings>], of settings: inout Settings) {
    let values = Dictionary(uniqueKeysWithValues: self.settings.map { ($0.name, $0.setting.value) })
    for limit in limits {
      switch values[limit.name.optionName] {
      case let count as Int: limit.set(count, of: &settings)
      case let size as ByteCount: limit.set(size.bytes, of: &settings)
      case let time as Seconds: limit.set(time.duration, of: &settings)
      default: preconditionFailure("\(limit.name) has no option")
      }
    }
  }
}

extension ArgumentHelp {
  /// Returns the library's description of a limit.
  fileprivate static func limit(_ name: String, _ valueName: String) -> ArgumentHelp {
    help(name, in: Configuration.limits, valueName)
  }

  fileprivate static func chatLimit(_ name: String, _ valueName: String) -> ArgumentHelp {
    help(name, in: ChatOptions.limits, valueName)
  }

  private static func help<Settings>(
    _ name: String, in limits: [Limit<Settings>], _ valueName: String
  ) -> ArgumentHelp {
    guard let limit = limits.first(where: { $0.name == name }) else { preconditionFailure(name) }
    let zero = limit.canBeOff ? " 0 means \(limit.meaningOfZero)." : ""
    return ArgumentHelp("\(limit.subject). \(limit.effect).\(zero)", valueName: valueName)
  }
}
