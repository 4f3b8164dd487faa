import ConfabChat
import Foundation
import Testing

@testable import Confab
@testable import ConfabC

/// Checks that a limit is described alike in its table, in the documentation of its property, and in confab.h: the
/// sentences on its subject and effect, the meaning of 0, the range and the default.
struct LimitTextTests {
  private let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..")

  @Test(arguments: Configuration.limits.map(\.name)) func serverLimit(name: String) throws {
    let limit = try #require(Configuration.limits.first { $0.name == name })
    try check(limit, Configuration(), "Sources/Confab/Configuration.swift")
  }

  @Test(arguments: ChatOptions.limits.map(\.name)) func chatLimit(name: String) throws {
    let limit = try #require(ChatOptions.limits.first { $0.name == name })
    try check(limit, ChatOptions(), "Sources/ConfabChat/ChatOptions.swift")
  }

  private func check<Settings>(_ limit: Limit<Settings>, _ settings: Settings, _ file: String) throws {
    let value = limit.text(settings).replacing(/([KMG]iB)$/) { " \($0.output.1)" }
    let property = try comment(before: "public var \(limit.name)\\b", "///", in: file).replacing(/(\d),(\d{3})/) {
      "\($0.output.1)\($0.output.2)"
    }
    check(property, limit, "The default is \(value).")
    let member = try comment(before: "int64_t \(limit.member);", "(?:/\\*| \\*)", in: "include/confab.h")
    check(member.replacing(" */", with: ""), limit, "Default: \(value).")
  }

  private func check<Settings>(_ comment: String, _ limit: Limit<Settings>, _ value: String) {
    #expect(comment.hasPrefix("\(limit.subject). \(limit.effect)."), "\(limit.name)")
    let zero = limit.meaningOfZero.map { "0 means \($0). " } ?? ""
    #expect(comment.hasSuffix(" \(zero)Range: \(limit.range). \(value)"), "\(limit.name)")
  }

  /// Returns the comment before a declaration, as one line.
  private func comment(before declaration: String, _ marker: String, in file: String) throws -> String {
    let text = try String(contentsOf: root.appending(path: file), encoding: .utf8)
    let lines = try Regex("((?:\n *\(marker) [^\n]*)+)\n *\(declaration)", as: (Substring, Substring).self)
    let found = try #require(text.firstMatch(of: lines), "'\(declaration)' has no comment in \(file)").output.1
    return found.replacing(try Regex("\n *\(marker) "), with: " ").trimmingCharacters(in: .whitespaces)
  }
}

extension Limit {
  /// The range of the value, as in the documentation.
  fileprivate var range: String {
    switch value {
    case .count(_, let range): "\(short(range.lowerBound)) to \(short(range.upperBound))"
    case .bytes(_, let range): "\(size(range.lowerBound)) to \(size(range.upperBound))"
    case .time(_, let range): "\(time(range.lowerBound)) to \(time(range.upperBound))"
    }
  }

  private func short(_ number: Int) -> String {
    number > 1 << 20 && number.nonzeroBitCount == 1 ? "2^\(number.trailingZeroBitCount)" : "\(number)"
  }

  private func size(_ bytes: Int) -> String {
    switch bytes {
    case 0: "0"
    case 1: "1 byte"
    case 1 << 40: "1 TiB"
    default: bytes.inBytes.replacing(/([KMG]iB)$/) { " \($0.output.1)" }
    }
  }

  private func time(_ time: Duration) -> String {
    switch time {
    case .zero: "0"
    case .seconds(1)...: "\(time.components.seconds / 86_400) day\(time > .seconds(86_400) ? "s" : "")"
    default: "\(Int(time / .milliseconds(1))) ms"
    }
  }
}
