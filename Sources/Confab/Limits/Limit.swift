/// A limit of ``Configuration`` or of other settings. The program's option, its help, the check of the value and the
/// error come from this description. Tests compare it with the documentation in Swift and C.
//
// The limits themselves are in Configuration+Limits.swift, and in ChatOptions.swift for the chat. The table "Where to
// find it" in Design.md lists all files to change for a new limit.
public struct Limit<Settings>: Sendable {
  /// The name of the property in the settings.
  public let name: String
  /// The option of the program without the leading dashes, which is also the name in its configuration file:
  /// `max-message-size` for `maxMessageSize`.
  public let option: String
  /// The limited quantity.
  public let subject: String
  /// The effect of exceeding the limit.
  public let effect: String
  /// The reasons that are counted when the limit is exceeded, see ``Server/statistics``.
  public let rejections: [RejectionReason]
  /// The meaning of 0 if it is special, such as "no limit".
  public let meaningOfZero: String?
  package let value: Value

  package enum Value: @unchecked Sendable {
    // // @unchecked: key paths of a struct's variables capture no values.
    case count(WritableKeyPath<Settings, Int>, ClosedRange<Int>)
    case bytes(WritableKeyPath<Settings, Int>, ClosedRange<Int>)
    case time(WritableKeyPath<Settings, Duration>, ClosedRange<Duration>)
  }

  package init(
    _ name: String, option: String? = nil, _ value: Value, _ subject: String, _ effect: String,
    _ rejections: RejectionReason..., meaningOfZero: String? = nil
  ) {
    (self.name, self.option, self.value) = (name, option ?? name.optionName, value)
    (self.subject, self.effect, self.rejections) = (subject, effect, rejections)
    self.meaningOfZero = meaningOfZero
  }

  /// The sentences that describe the limit.
  public var text: String {
    "\(subject). \(effect)." + (meaningOfZero.map { " 0 means \($0)." } ?? "")
  }

  /// Returns the limit's value in `settings`, with its unit.
  public func text(_ settings: Settings) -> String {
    switch value {
    case .count(let path, _): "\(settings[keyPath: path])"
    case .bytes(let path, _): settings[keyPath: path].inBytes
    case .time(let path, _): "\(settings[keyPath: path].inSeconds) s"
    }
  }

  /// Returns the problem with the limit's value in `settings`; nil if the value is valid.
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

extension Int {
  /// A size in the largest unit that gives a whole number.
  package var inBytes: String {
    for (unit, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] where self >= size && self % size == 0 {
      return "\(self / size)\(unit)"
    }
    return "\(self)"
  }
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
