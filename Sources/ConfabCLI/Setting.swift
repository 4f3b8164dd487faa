public import ArgumentParser
import Confab
public import Logging

/// A parsed option or flag. Its value may come from the command line, the environment or the file.
protocol Setting {
  var value: Any { get }
  /// A description of the allowed values, for errors.
  var allowed: String { get }
}

extension Option: Setting {
  var value: Any { wrappedValue }
  var allowed: String { (Value.self as? any Described.Type)?.description ?? "text" }
}

extension Flag: Setting {
  var value: Any { wrappedValue }
  var allowed: String { "true or false" }
}

extension Setting {
  var isFlag: Bool { value is Bool }
  var isList: Bool { value is [Any] }
  var text: String {
    if let list = value as? [Any] { return list.map { "\($0)" }.joined(separator: ",") }
    return (value as? any AnyOptional)?.text ?? "\(value)"
  }
}

/// A group of options.
private protocol SettingGroup { var arguments: any ParsableArguments { get } }
extension OptionGroup: SettingGroup { fileprivate var arguments: any ParsableArguments { wrappedValue } }

extension ParsableArguments {
  /// The parsed options and flags, by name.
  var settings: [(name: String, setting: any Setting)] {
    Mirror(reflecting: self).children.flatMap { child in
      if let group = child.value as? any SettingGroup { return group.arguments.settings }
      guard let setting = child.value as? any Setting, let label = child.label else { return [] }
      return [(String(label.drop { $0 == "_" }).optionName, setting)]
    }
  }
}

private protocol AnyOptional { var text: String { get } }
extension Optional: AnyOptional { fileprivate var text: String { map { "\($0)" } ?? "" } }

/// A type with a description of its values.
protocol Described { static var description: String { get } }

extension Optional: Described {
  static var description: String { (Wrapped.self as? any Described.Type)?.description ?? "text" }
}
extension Int: Described { static var description: String { "a whole number" } }
extension ByteCount: Described {
  static var description: String { "a size in bytes, or with a unit, like 64KiB, 1MiB or 1GiB" }
}
extension Seconds: Described { static var description: String { "a number of seconds" } }
extension ListenAddress: Described { static var description: String { "a host and a port, like 127.0.0.1:9090" } }
extension Logger.Level: Described {
  static var description: String { allCases.map(\.rawValue).joined(separator: ", ") }
}
extension LogFormat: Described { static var description: String { "text or json" } }
extension Logger.Level: @retroactive ExpressibleByArgument {
  // The help text lists the values.
  public static var allValueStrings: [String] { [] }
}
