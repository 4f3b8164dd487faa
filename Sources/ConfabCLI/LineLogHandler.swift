import ArgumentParser
import Confab
import FoundationEssentials
import Logging

/// How lines of the log look.
enum LogFormat: String, ExpressibleByArgument, CaseIterable {
  /// `TIME LEVEL LABEL key=value …: message`
  case text
  /// An object of JSON: `time`, `level`, `logger`, `message`, and the metadata.
  case json

  // The help names them already.
  static var allValueStrings: [String] { [] }
}

/// A log on standard error, a line for each event, whatever peers have put into it.
struct LineLogHandler: LogHandler {
  let label: String
  let format: LogFormat
  var logLevel = Logger.Level.info
  var metadata: Logger.Metadata = [:]
  var metadataProvider: Logger.MetadataProvider?

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  init(label: String, format: LogFormat) { (self.label, self.format) = (label, format) }

  func log(event: LogEvent) {
    var all = metadata
    for more in [metadataProvider?.get(), event.metadata] { all.merge(more ?? [:]) { $1 } }
    if let error = event.error { all["error"] = "\(error)" }
    let fields = all.sorted { $0.key < $1.key }
    let time = Date().formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    StandardStream.error.write(line(time, event.level, event.message.description, fields) + "\n")
  }

  private func line(
    _ time: String, _ level: Logger.Level, _ message: String, _ fields: [(key: String, value: Logger.MetadataValue)]
  ) -> String {
    switch format {
    case .text:
      let words = fields.map { " \($0.key)=\("\($0.value)".word)" }.joined()
      return "\(time) \(level) \(label)\(words): \(message.withoutControls)"
    case .json:
      let own = [("time", time), ("level", "\(level)"), ("logger", label), ("message", message)]
      let names = Set(own.map(\.0))
      let members =
        own.map { "\($0.0.json):\($0.1.json)" }
        + fields.map { "\((names.contains($0.key) ? "\($0.key)_" : $0.key).json):\($0.value.json)" }
      return "{\(members.joined(separator: ","))}"
    }
  }
}

extension Logger.MetadataValue {
  fileprivate var json: String {
    switch self {
    case .array(let values): "[\(values.map(\.json).joined(separator: ","))]"
    case .dictionary(let members):
      "{\(members.sorted { $0.key < $1.key }.map { "\($0.key.json):\($0.value.json)" }.joined(separator: ","))}"
    case .string(let text): text.json
    case .stringConvertible(let number as Int): "\(number)"
    case .stringConvertible(let value): "\(value)".json
    }
  }
}

extension String {
  /// As a string of JSON.
  fileprivate var json: String {
    "\"" + withoutControls.reduce(into: "") { $0 += $1 == "\"" || $1 == "\\" ? "\\\($1)" : "\($1)" } + "\""
  }

  /// As a value among others, in quotes if it could not be told from them.
  fileprivate var word: String {
    let isPlain = !isEmpty && utf8.allSatisfy { 33...126 ~= $0 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
    return isPlain ? self : json
  }
}
