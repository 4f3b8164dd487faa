import ArgumentParser

/// A time on the command line, in seconds; fractions are allowed.
struct Seconds: ExpressibleByArgument, CustomStringConvertible, Equatable {
  var duration: Duration

  init(_ duration: Duration) { self.duration = duration }

  init?(argument: String) {
    guard let seconds = Double(argument), seconds.isFinite, (0...1e9).contains(seconds) else { return nil }
    duration = .seconds(seconds)
  }

  var description: String {
    let seconds = duration / .seconds(1)
    return seconds == seconds.rounded() ? "\(Int(seconds))" : "\(seconds)"
  }

  var defaultValueDescription: String { description }
}
