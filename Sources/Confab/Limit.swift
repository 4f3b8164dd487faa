/// A limit of a server: what ``Configuration`` says of it, in one place for checks, options and documents.
public struct Limit: Sendable {
  /// The property of ``Configuration``.
  public let name: String
  /// What is limited.
  public let subject: String
  /// What happens over the limit.
  public let effect: String
  /// What is counted then, see ``Server/statistics``.
  public let refusals: [Refusal]
  private let value: Value

  private enum Value: @unchecked Sendable {
    // @unchecked: key paths of a struct's variables hold nothing.
    case count(WritableKeyPath<Configuration, Int>, ClosedRange<Int>)
    case bytes(WritableKeyPath<Configuration, Int>, ClosedRange<Int>)
    case time(WritableKeyPath<Configuration, Duration>, ClosedRange<Duration>)
  }

  private init(_ name: String, _ value: Value, _ subject: String, _ effect: String, _ refusals: Refusal...) {
    (self.name, self.value, self.subject, self.effect, self.refusals) = (name, value, subject, effect, refusals)
  }

  /// Whether 0 is no limit.
  public var canBeOff: Bool {
    switch value {
    case .count(_, let range), .bytes(_, let range): range.lowerBound == 0 && name != "maxBacklog"
    case .time(_, let range): range.lowerBound == .zero && name != "closeTimeout"
    }
  }

  /// The option of the program: the name in its spelling, `--max-message-size`.
  public var option: String {
    "--" + name.map { $0.isUppercase ? "-\($0.lowercased())" : "\($0)" }.joined()
  }

  /// What `configuration` has it at, with its unit.
  public func text(_ configuration: Configuration = Configuration()) -> String {
    switch value {
    case .count(let path, _): "\(configuration[keyPath: path])"
    case .bytes(let path, _): byteText(configuration[keyPath: path])
    case .time(let path, _): "\(configuration[keyPath: path].inSeconds) s"
    }
  }

  func validate(_ configuration: Configuration) throws(ConfabError) {
    let range: String
    switch value {
    case .count(let path, let allowed), .bytes(let path, let allowed):
      if allowed.contains(configuration[keyPath: path]) { return }
      range = "\(allowed.lowerBound) to \(allowed.upperBound), not \(configuration[keyPath: path])"
    case .time(let path, let allowed):
      if allowed.contains(configuration[keyPath: path]) { return }
      let value = configuration[keyPath: path].inSeconds
      range = "\(allowed.lowerBound.inSeconds) to \(allowed.upperBound.inSeconds) s, not \(value)"
    }
    throw ConfabError(.invalidConfiguration, "\(name) must be \(range)")
  }

  private static let day = Duration.seconds(86_400)
  private static let many = 1 << 30

  static let all: [Limit] = [
    Limit(
      "maxMessageSize", .bytes(\.maxMessageSize, 1...many), "The longest message", "the sender is closed with 1009",
      .messageTooBig),
    Limit(
      "maxFragments", .count(\.maxFragments, 1...many), "Fragments of one message, empty ones included",
      "the sender is closed with 1008", .tooManyFragments),
    Limit(
      "maxUnfinishedBytes", .bytes(\.maxUnfinishedBytes, 1...(1 << 40)),
      "Messages that have not come whole, of all connections", "who sends more is closed with 1013",
      .tooManyUnfinished),
    Limit(
      "maxBacklog", .bytes(\.maxBacklog, 0...many), "How far a reader may fall behind",
      "it is closed with 1013, and holds up nobody", .tooFarBehind),
    Limit(
      "maxConnections", .count(\.maxConnections, 1...many), "Connections at a time", "one more gets status 503",
      .tooManyConnections),
    Limit(
      "maxConnectionsPerAddress", .count(\.maxConnectionsPerAddress, 0...many),
      "Connections at a time of one address, or IPv6 network", "one more gets status 429", .tooManyFromAddress),
    Limit(
      "maxAcceptRate", .count(\.maxAcceptRate, 0...many), "New connections a second", "more wait to be accepted",
      .acceptRate),
    Limit(
      "maxHeaderSize", .bytes(\.maxHeaderSize, 1024...16_384), "The head of a request", "status 431", .headersTooLarge),
    Limit("maxPathLength", .bytes(\.maxPathLength, 1...16_384), "The path of a request", "status 414", .pathTooLong),
    Limit(
      "handshakeTimeout", .time(\.handshakeTimeout, .milliseconds(1)...day),
      "From the TCP connection to a whole request", "status 408", .handshakeTimeout),
    Limit(
      "maxMessageRate", .count(\.maxMessageRate, 0...many), "Messages a second of one connection",
      "it is read more slowly", .messageRate),
    Limit(
      "maxByteRate", .bytes(\.maxByteRate, 0...many), "Bytes of messages a second of one connection",
      "it is read more slowly", .byteRate),
    Limit(
      "maxPingRate", .count(\.maxPingRate, 0...many), "Pings a second of one connection", "it is read more slowly",
      .pingRate),
    Limit("pingInterval", .time(\.pingInterval, .zero...day), "Silence", "the peer is sent a ping"),
    Limit(
      "idleTimeout", .time(\.idleTimeout, .zero...day), "Silence, of which there is none when pings are answered",
      "the peer is cut off", .idle),
    Limit(
      "closeTimeout", .time(\.closeTimeout, .zero...day), "A closing handshake", "the peer is cut off", .closeTimeout),
  ]
}

extension Configuration {
  /// All limits.
  public static var limits: [Limit] { Limit.all }
}

extension Duration {
  /// Seconds, as short as it goes.
  var inSeconds: String {
    let whole = components.seconds
    let thousandths = components.attoseconds / 1_000_000_000_000_000
    if thousandths == 0 { return "\(whole)" }
    return "\(whole)." + "\(1000 + thousandths)".dropFirst()
  }
}

/// Bytes with the largest unit that leaves a whole number.
private func byteText(_ bytes: Int) -> String {
  for (unit, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] where bytes >= size && bytes % size == 0 {
    return "\(bytes / size)\(unit)"
  }
  return "\(bytes)"
}
