internal import Confab

#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif

// The functions of Foundation that the package uses. Other files do not import it. FoundationEssentials lacks the parts
// for languages and time zones, which are large. It does not exist on macOS.

package enum Json {
  package static func encode(_ value: some Encodable) -> [UInt8]? {
    (try? JSONEncoder().encode(value)).map(Array.init)
  }

  package static func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
    try JSONDecoder().decode(type, from: Data(bytes))
  }

  /// Decodes JSON5, which allows comments.
  package static func decodeJSON5<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
    let decoder = JSONDecoder()
    decoder.allowsJSON5 = true
    return try decoder.decode(type, from: Data(bytes))
  }
}

/// Returns the content of a file; nil if it cannot be read.
package func fileContents(_ path: String) -> [UInt8]? { FileManager.default.contents(atPath: path).map(Array.init) }

/// The environment variables of this process.
package var environmentVariables: [String: String] { ProcessInfo.processInfo.environment }

extension WallClock {
  /// Returns a time in UTC, `2026-11-25 09:30:00`.
  static func text(of milliseconds: Int64) -> String {
    Date(timeIntervalSince1970: Double(milliseconds) / 1000).formatted(style)
  }

  private static let style = Date.ISO8601FormatStyle().year().month().day().dateTimeSeparator(.space)
    .time(includingFractionalSeconds: false)
}
