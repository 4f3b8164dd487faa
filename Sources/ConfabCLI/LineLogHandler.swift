import ArgumentParser
import Confab
import Logging

/// The format of log lines.
enum LogFormat: String, ExpressibleByArgument, CaseIterable {
  /// `TIME LEVEL LABEL key=value …: message`
  case text
  /// A JSON object: `time`, `level`, `logger`, `message`, and the metadata.
  case json

  // The help text names the values already.
  static var allValueStrings: [String] { [] }
}

/// A log on standard error with exactly one line for each event, whatever data of peers it contains. Lines that
/// standard error does not take at once are dropped and counted, because an event loop must not wait for the log's
/// reader.
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
    let time = WallClock.text
    let message = event.message.description
    let line =
      switch format {
      case .text: "\(time) \(event.level) \(label)\(all.isEmpty ? ": " : " ")\(all.lineHead)\(message.withoutControls)"
      case .json: json([("time", time), ("level", "\(event.level)"), ("logger", label), ("message", message)], all)
      }
    StandardStream.error.writeLine(line)
  }

  /// Returns a JSON object. A metadata name that is also in `own` gets a `_` appended.
  private func json(_ own: [(name: String, text: String)], _ metadata: Logger.Metadata) -> String {
    let members =
      own.map { "\($0.name.quoted):\($0.text.quoted)" }
      + metadata.sorted { $0.key < $1.key }.map { key, value in
        let isTaken = own.contains { $0.name == key }
        return "\((isTaken ? "\(key)_" : key).quoted):\(value.json)"
      }
    return "{\(members.joined(separator: ","))}"
  }
}

extension Logger.MetadataValue {
  fileprivate var json: String {
    switch self {
    case .array(let values): "[\(values.map(\.json).joined(separator: ","))]"
    case .dictionary(let members):
      "{\(members.sorted { $0.key < $1.key }.map { "\($0.key.quoted):\($0.value.json)" }.joined(separator: ","))}"
    case .string(let text): text.quoted
    case .stringConvertible(let number as Int): "\(number)"
    case .stringConvertible(let value): "\(value)".quoted
    }
  }
}
