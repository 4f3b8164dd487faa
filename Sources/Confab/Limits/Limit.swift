/// A limit of ``Configuration`` or of other settings. Checks, options and the tables in the documentation use this
/// description.
public struct Limit<Settings>: Sendable {
  /// The name of the property in the settings.
  public let name: String
  /// The limited quantity.
  public let subject: String
  /// The effect of exceeding the limit.
  public let effect: String
  /// The reasons that are counted when the limit is exceeded, see ``Server/statistics``.
  public let rejections: [RejectionReason]
  /// Whether 0 turns the limit off.
  public let canBeOff: Bool
  /// Meaning of 0 if ``canBeOff`` is true: "no limit", for example.
  package let meaningOfZero: String
  private let value: Value

  package enum Value: @unchecked Sendable {
    // @unchecked: key paths of a struct's variables hold nothing.
    case count(WritableKeyPath<Settings, Int>, ClosedRange<Int>)
    case bytes(WritableKeyPath<Settings, Int>, ClosedRange<Int>)
    case time(WritableKeyPath<Settings, Duration>, ClosedRange<Duration>)
  }

  package init(
    _ name: String, _ value: Value, _ subject: String, _ effect: String, _ rejections: RejectionReason...,
    canBeOff: Bool = false,
    meaningOfZero: String = "no limit"
  ) {
    (self.name, self.value, self.subject, self.effect) = (name, value, subject, effect)
    (self.rejections, self.canBeOff, self.meaningOfZero) = (rejections, canBeOff, meaningOfZero)
  }

  /// The option of the program: `--max-message-size` for `maxMessageSize`.
  public var option: String { "--" + name.optionName }

  /// Returns the limit's value in `settings`, with its unit.
  public func text(_ settings: Settings) -> String {
    switch value {
    case .count(let path, _): "\(settings[keyPath: path])"
    case .bytes(let path, _): byteText(settings[keyPath: path])
    case .time(let path, _): "\(settings[keyPath: path].inSeconds) s"
    }
  }

  /// Sets the value of a count or a size. Traps for a time.
  package func set(_ number: Int, of settings: inout Settings) {
    switch value {
    case .count(let path, _), .bytes(let path, _): settings[keyPath: path] = number
    case .time: preconditionFailure("\(name) is a time")
    }
  }

  /// Sets the value of a time. Traps for a count or a size.
  package func set(_ time: Duration, of settings: inout Settings) {
    guard case .time(let path, _) = value else { preconditionFailure("\(name) is a number") }
    settings[keyPath: path] = time
  }

  /// Returns what is wrong with the limit's value in `settings`; nil if the value is valid.
  package func problem(in settings: Settings) -> Problem? {
    let range: String
    switch value {
    case .count(let path, let allowed), .bytes(let path, let allowed):
      if allowed.contains(settings[keyPath: path]) { return nil }
      range = "\(allowed.lowerBound) to \(allowed.upperBound), not \(settings[keyPath: path])"
    case .time(let path, let allowed):
      if allowed.contains(settings[keyPath: path]) { return nil }
      let value = "\(settings[keyPath: path].inSeconds) s"
      range = "\(allowed.lowerBound.inSeconds) to \(allowed.upperBound.inSeconds) s, not \(value)"
    }
    return Problem([name]) { "\($0[0]) must be \(range)" }
  }
}

extension String {
  /// A setting's name in the spelling of options: `max-message-size` for `maxMessageSize`.
  package var optionName: String { map { $0.isUppercase ? "-\($0.lowercased())" : "\($0)" }.joined() }
}

private let day = Duration.seconds(86_400)
private let many = 1 << 30

extension Configuration {
  /// All limits.
  public static let limits: [Limit<Configuration>] = [
    Limit(
      "maxMessageSize", .bytes(\.maxMessageSize, 1...many), "Maximum message size",
      "Larger messages close the connection with 1009",
      .messageTooBig),
    Limit(
      "maxFragments", .count(\.maxFragments, 1...many), "Maximum number of fragments per message, including empty ones",
      "A message with more closes the connection with 1008", .tooManyFragments),
    Limit(
      "maxUnfinishedBytes", .bytes(\.maxUnfinishedBytes, 1...(1 << 40)),
      "Maximum memory for incomplete messages of all connections",
      "A connection that would exceed it is closed with 1013",
      .tooManyUnfinished),
    Limit(
      "maxBacklog", .bytes(\.maxBacklog, 0...many), "Maximum size of the unread messages of one client",
      "A client that is further behind is closed with 1013; other clients are not delayed", .tooFarBehind),
    Limit(
      "maxTotalBacklog", .bytes(\.maxTotalBacklog, 0...(1 << 40)), "Maximum memory for unread messages of all clients",
      "The clients that are furthest behind are closed with 1013", .tooFarBehind),
    Limit(
      "maxConnections", .count(\.maxConnections, 1...many), "Maximum number of connections",
      "Further connections get status 503",
      .tooManyConnections),
    Limit(
      "maxConnectionsPerAddress", .count(\.maxConnectionsPerAddress, 0...many),
      "Maximum number of connections from one IPv4 address or one /64 network of IPv6",
      "Further connections get status 429",
      .tooManyFromAddress,
      canBeOff: true),
    Limit(
      "maxAcceptRate", .count(\.maxAcceptRate, 0...many), "Maximum number of new connections per second",
      "Further connections wait in the kernel's queue",
      .acceptRate, canBeOff: true),
    Limit(
      "maxHeaderSize", .bytes(\.maxHeaderSize, 1024...16_384), "Maximum size of the request header section",
      "Larger requests get status 431",
      .headersTooLarge),
    Limit(
      "maxPathLength", .bytes(\.maxPathLength, 1...16_384), "Maximum length of the request path",
      "Longer paths get status 414", .pathTooLong),
    Limit(
      "handshakeTimeout", .time(\.handshakeTimeout, .milliseconds(1)...day),
      "Time from the TCP connection to the end of the first request", "Slower clients get status 408", .handshakeTimeout
    ),
    Limit(
      "maxMessageRate", .count(\.maxMessageRate, 0...many), "Maximum number of messages per second from one connection",
      "Reading from a faster client is slowed down to this rate", .messageRate, canBeOff: true),
    Limit(
      "maxByteRate", .bytes(\.maxByteRate, 0...many), "Maximum number of message bytes per second from one connection",
      "Reading from a faster client is slowed down to this rate", .byteRate, canBeOff: true),
    Limit(
      "maxPingRate", .count(\.maxPingRate, 0...many), "Maximum number of pings per second from one connection",
      "Reading from a faster client is slowed down to this rate",
      .pingRate, canBeOff: true),
    Limit(
      "pingInterval", .time(\.pingInterval, .zero...day), "Time without activity before the server sends a ping",
      "Must be less than the idle timeout", canBeOff: true, meaningOfZero: "no pings"),
    Limit(
      "idleTimeout", .time(\.idleTimeout, .zero...day),
      "Time without activity after which a connection is dropped",
      "Received data, pongs, and sent bytes that the client acknowledges count as activity", .idle, canBeOff: true),
    Limit(
      "closeTimeout", .time(\.closeTimeout, .zero...day), "Time for a closing handshake",
      "The connection is dropped afterwards", .closeTimeout),
  ]
}

extension Limit<Configuration> {
  /// Returns the default value, with its unit.
  public func text() -> String { text(Configuration()) }
}

extension Duration {
  /// The number of seconds, without decimals if it is whole, otherwise with three.
  var inSeconds: String {
    let thousandths = components.attoseconds / 1_000_000_000_000_000
    if thousandths == 0 { return "\(components.seconds)" }
    let sign = self < .zero ? "-" : ""
    return "\(sign)\(components.seconds.magnitude)." + "\(1000 + thousandths.magnitude)".dropFirst()
  }
}

/// Returns a size in the largest unit that gives a whole number.
private func byteText(_ bytes: Int) -> String {
  for (unit, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] where bytes >= size && bytes % size == 0 {
    return "\(bytes / size)\(unit)"
  }
  return "\(bytes)"
}
