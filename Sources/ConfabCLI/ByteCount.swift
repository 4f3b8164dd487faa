import ArgumentParser
import Confab

/// A size on the command line, in bytes or with a unit: `64KiB`, `1MiB`, `1GiB`.
struct ByteCount: ExpressibleByArgument, CustomStringConvertible, Equatable {
  var bytes: Int

  init(_ bytes: Int) { self.bytes = bytes }

  private static let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]

  init?(argument: String) {
    let (suffix, factor) = ByteCount.units.first { argument.hasSuffix($0.0) } ?? ("", 1)
    guard let number = Int(argument.dropLast(suffix.count)), number >= 0 else { return nil }
    let (bytes, overflow) = number.multipliedReportingOverflow(by: factor)
    if overflow { return nil }
    self.bytes = bytes
  }

  var description: String { bytes.inBytes }

  var defaultValueDescription: String { description }
}
