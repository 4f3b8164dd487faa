import CConfab
import Confab
import ConfabChat
import Foundation
import Testing

@testable import ConfabC

/// Checks that confab.h has the library's settings, errors and threads.
struct HeaderTests {
  private let header: String

  init() throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..")
    header = try String(contentsOf: root.appending(path: "include/confab.h"), encoding: .utf8)
  }

  /// The fields of `confab_config` after `confab_config_init()`.
  private var defaults: Mirror.Children {
    var config = unsafe confab_config()
    let failure = unsafe confab_config_init(&config, MemoryLayout<confab_config>.size)
    #expect(failure == 0)
    return unsafe Mirror(reflecting: config).children
  }

  /// Returns the comment before a declaration, as one line.
  private func comment(before declaration: String) throws -> String {
    let end = try #require(header.range(of: declaration), "there is no '\(declaration)'").lowerBound
    let start = try #require(header[..<end].range(of: "/* ", options: .backwards)).upperBound
    return header[start..<end].split(whereSeparator: \.isWhitespace).filter { $0 != "*" }.joined(separator: " ")
  }

  @Test func everyLimitHasAField() {
    var (configuration, options) = (Configuration(), ChatOptions())
    let values = setValues(of: Configuration.limits, &configuration) + setValues(of: ChatOptions.limits, &options)
    let config = unsafe confab_config(configuration, options)
    let fields = unsafe Dictionary(
      uniqueKeysWithValues: Mirror(reflecting: config).children.map { ($0.label!, $0.value) })
    for (member, value) in values { #expect(fields[member] as? Int64 == value, "\(member)") }
  }

  /// Gives each limit another value. Returns the values that the fields must have.
  private func setValues<Settings>(
    of limits: [Limit<Settings>], _ settings: inout Settings
  ) -> [(member: String, value: Int64)] {
    limits.enumerated().map { number, limit in
      switch limit.value {
      case .count(let path, _), .bytes(let path, _): settings[keyPath: path] = number
      case .time(let path, _): settings[keyPath: path] = .milliseconds(number)
      }
      return (limit.member, Int64(number))
    }
  }

  @Test func everyFieldHasADefault() throws {
    for field in defaults.compactMap(\.label) where field != "size" {
      // The previous field's comment covers these.
      if ["tls_key_file", "mount_count"].contains(field) { continue }
      let declaration = try Regex("\n  [^/\n]*[ *(]\(field)\\)?[;(]")
      let match = try #require(header.firstMatch(of: declaration), "there is no \(field)")
      let comment = try comment(before: String(header[match.range]))
      #expect(comment.contains("Default: "), "\(field) has no default")
    }
  }

  @Test func everyFunctionDocumentsItsThread() throws {
    var functions = 0
    for match in header.matches(of: /\nCONFAB_API [^(]*?(confab_\w+)\(/) {
      // Two functions may share a comment.
      let comment = try comment(before: String(match.output.0))
      #expect(
        comment.contains("ny thread") || comment.contains("Loop thread"), "\(match.output.1) is for which thread?")
      functions += 1
    }
    #expect(functions > 40)
  }

  @Test func everyRejectionHasANumber() throws {
    var names: [Int32: String] = [:]
    for match in header.matches(of: /CONFAB_REJECTION_(\w+) = (\d+)/) {
      let words = match.output.1.lowercased().split(separator: "_")
      names[Int32(match.output.2)!] = words[0] + words.dropFirst().map(\.capitalized).joined()
    }
    #expect(names.count == RejectionReason.allCases.count)
    for reason in RejectionReason.allCases {
      let number = try #require(names.first { $0.value == reason.rawValue }?.key, "\(reason) has no number")
      let name = unsafe String(cString: confab_rejection_name(number))
      #expect(name == reason.rawValue)
    }
  }

  @Test func everyErrorHasAText() {
    var texts: Set<String> = []
    let numbers = header.matches(of: /CONFAB_(ERROR_|OK)\w* = (-?\d+)/).map { Int32($0.output.2)! }
    for number in numbers { unsafe texts.insert(String(cString: confab_strerror(number))) }
    #expect(texts.count == numbers.count && !texts.contains("unknown error"))
  }
}
