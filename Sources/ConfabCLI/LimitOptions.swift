import ArgumentParser
import Confab
import ConfabChat

/// Options for ``Configuration/limits``. The texts of `--help` are in Confab/Limits/Configuration+Limits.swift, and in
/// ConfabChat/ChatOptions.swift for the chat.
struct LimitOptions: ParsableArguments {
  @OptionGroup var table: LimitTable<Configuration>

  @Flag(
    inversion: .prefixedNo,
    help: """
      Apply --max-connections-per-address and the rate limits, including --max-accept-rate, to clients on loopback, too.
      """)
  var limitLoopback = false

  func apply(to configuration: inout Configuration) {
    table.apply(to: &configuration)
    configuration.limitsLoopback = limitLoopback
  }
}

/// Settings with a table of limits.
protocol LimitedSettings {
  static var limits: [Limit<Self>] { get }
  static var defaults: Self { get }
}

extension Configuration: LimitedSettings { static var defaults: Configuration { Configuration() } }
extension ChatOptions: LimitedSettings { static var defaults: ChatOptions { ChatOptions() } }

/// One option for each limit of a table. ArgumentParser finds options by reflection, so the mirror of this type has
/// them.
struct LimitTable<Settings: LimitedSettings>: ParsableArguments, CustomReflectable {
  private let options: [any Setting & Sendable]

  init() { options = Settings.limits.map { $0.makeOption(.defaults) } }

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: OptionName.self)
    options = try Settings.limits.map { limit in
      let name = OptionName(stringValue: limit.option)
      return switch limit.value {
      case .count: try container.decode(Option<Int>.self, forKey: name)
      case .bytes: try container.decode(Option<ByteCount>.self, forKey: name)
      case .time: try container.decode(Option<Seconds>.self, forKey: name)
      }
    }
  }

  var customMirror: Mirror {
    Mirror(self, children: zip(Settings.limits, options).map { ($0.option, $1) })
  }

  func apply(to settings: inout Settings) {
    for (limit, option) in zip(Settings.limits, options) {
      switch (limit.value, option.value) {
      case (.count(let path, _), let count as Int): settings[keyPath: path] = count
      case (.bytes(let path, _), let size as ByteCount): settings[keyPath: path] = size.bytes
      case (.time(let path, _), let time as Seconds): settings[keyPath: path] = time.duration
      default: preconditionFailure("the option of \(limit.name) has another type")
      }
    }
  }
}

private struct OptionName: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }

  init(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}

extension Limit {
  fileprivate func makeOption(_ defaults: Settings) -> any Setting & Sendable {
    func help(_ valueName: String) -> ArgumentHelp { ArgumentHelp("\(text)", valueName: valueName) }
    return switch value {
    case .count(let path, _): Option(wrappedValue: defaults[keyPath: path], help: help("count"))
    case .bytes(let path, _): Option(wrappedValue: ByteCount(defaults[keyPath: path]), help: help("size"))
    case .time(let path, _): Option(wrappedValue: Seconds(defaults[keyPath: path]), help: help("seconds"))
    }
  }
}
