import ArgumentParser
import Confab

/// The options and their sources. The command line takes precedence over the environment, the environment over the
/// file, and the file over the defaults.
struct Settings {
  /// The effective options, without values that cannot be parsed.
  private(set) var options: ServeOptions
  /// The sources of options that are not at their defaults, by name.
  private var sources: [String: Source] = [:]
  /// The problems, one sentence each.
  private(set) var problems: [String] = []

  private enum Source {
    case commandLine
    case environment(String)
    case file(String)

    /// Returns the source's name for an option.
    func name(of option: String) -> String {
      switch self {
      case .commandLine: "--\(option)"
      case .environment(let variable): variable
      case .file: option
      }
    }

    var text: String {
      switch self {
      case .commandLine: "command line"
      case .environment(let variable): variable
      case .file(let path): path
      }
    }

    /// The beginning of a problem's sentence.
    var prefix: String { if case .file(let path) = self { "\(path): " } else { "" } }
  }

  /// The settings that a file or the environment can set: every option except `--config`.
  private let table: [String: any Setting]
  /// The values from the file and the environment, as command-line arguments.
  private var arguments: [String: [String]] = [:]

  /// `commandLine` must be valid; otherwise the process exits.
  init(commandLine: [String], environment: [String: String]) {
    options = ServeOptions.parseOrExit(commandLine)
    table = Dictionary(
      uniqueKeysWithValues: options.settings.filter { $0.name != "config" }.map { ($0.name, $0.setting) })
    if options.config == nil, let path = environment[variable("config")], !path.isEmpty {
      options.config = path
      (sources["config"], arguments["config"]) = (.environment(variable("config")), ["--config=\(path)"])
    }
    if let path = options.config, !path.isEmpty { read(path) }
    for name in table.keys.sorted() {
      guard let text = environment[variable(name)], !text.isEmpty else { continue }
      let values =
        table[name]!.isList ? text.parts(separatedBy: ",").map { String($0.trimmed) }.filter { !$0.isEmpty } : [text]
      set(name, to: .texts(values), by: .environment(variable(name)))
    }
    let words = Set(commandLine.map { String($0.prefix { $0 != "=" }) })
    for (name, _) in options.settings where words.contains("--\(name)") || words.contains("--no-\(name)") {
      sources[name] = .commandLine
      arguments[name] = nil
    }
    options = ServeOptions.parseOrExit(arguments.values.flatMap { $0 } + commandLine)
    for problem in options.problems {
      let source = problem.settings.first.flatMap { sources[optionName($0)] }
      let message = problem.message { (sources[optionName($0)] ?? .commandLine).name(of: optionName($0)) }
      problems.append((source?.prefix ?? "") + message)
    }
  }

  /// A line for each option in order, with its value and source.
  var lines: [String] {
    options.settings.map { name, setting in
      let source = sources[name]?.text ?? "default"
      return "\(name) = \(setting.text)".padded(to: 40) + " (\(source))"
    }
  }

  private mutating func read(_ path: String) {
    let values: [String: FileValue]
    do {
      values = try FileValue.read(path)
    } catch {
      problems.append("\(path): \(error)")
      return
    }
    for (name, value) in values.sorted(by: { $0.key < $1.key }) {
      guard table[name] != nil else {
        let nearest = table.keys.sorted().min { $0.distance(to: name) < $1.distance(to: name) }!
        let isNear = nearest.distance(to: name) <= name.count / 2
        let hint = isNear ? "the most similar one is '\(nearest)'" : "'confab serve --help' lists all"
        problems.append("\(path): there is no setting '\(name)'; \(hint)")
        continue
      }
      set(name, to: value, by: .file(path))
    }
  }

  /// Sets an option to a source's value, or records a problem.
  private mutating func set(_ name: String, to value: FileValue, by source: Source) {
    let setting = table[name]!
    let said: String
    switch value {
    case .texts(let texts):
      if let words = words(for: name, setting, texts), (try? ServeOptions.parse(words)) != nil {
        (sources[name], arguments[name]) = (source, words)
        return
      }
      said = "'\(texts.joined(separator: ","))'"
    case .other(let kind): said = kind
    }
    problems.append("\(source.prefix)\(source.name(of: name)) must be \(setting.allowed), not \(said)")
  }

  /// Returns the arguments that set an option to `texts`, nil if there are none.
  private func words(for name: String, _ setting: any Setting, _ texts: [String]) -> [String]? {
    if setting.isList { return texts.map { "--\(name)=\($0)" } }
    guard texts.count == 1 else { return nil }
    guard setting.isFlag else { return ["--\(name)=\(texts[0])"] }
    return switch texts[0] {
    case "true": ["--\(name)"]
    case "false": ["--no-\(name)"]
    default: nil
    }
  }
}

/// Returns the environment variable of an option.
private func variable(_ name: String) -> String {
  "CONFAB_" + name.uppercased().map { $0 == "-" ? "_" : $0 }
}

/// Returns the option for a setting of the library.
private func optionName(_ setting: String) -> String {
  switch setting {
  case "allowedHosts": "allow-host"
  case "allowedOrigins": "allow-origin"
  case "caFile": "nats-ca"
  case "certificateFile": "nats-cert"
  case "credentialsFile": "nats-creds"
  case "keyFile": "nats-key"
  case "maxBytes": "nats-max-bytes"
  case "mounts": "web-root"
  case "replicas": "nats-replicas"
  case "stream": "nats-stream"
  case "trustedProxies": "trusted-proxy"
  case "urls": "nats"
  default: Configuration.limits.first { $0.name == setting }?.option ?? setting.optionName
  }
}

extension String {
  /// Returns the edit distance: the number of characters to insert, delete or replace to get `other`.
  func distance(to other: String) -> Int {
    let other = Array(other)
    var row = Array(0...other.count)
    for (line, character) in enumerated() {
      var corner = row[0]
      row[0] = line + 1
      for column in other.indices {
        let replaced = corner + (character == other[column] ? 0 : 1)
        corner = row[column + 1]
        row[column + 1] = Swift.min(replaced, corner + 1, row[column] + 1)
      }
    }
    return row[other.count]
  }

  fileprivate func padded(to length: Int) -> String {
    self + String(repeating: " ", count: max(0, length - count))
  }
}
