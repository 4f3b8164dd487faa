import CConfab
import Confab
import ConfabC
import ConfabChat
import Foundation
import Testing

/// Checks that confab.h documents the library's defaults, units and limits.
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

  /// Returns the name of a setting in C.
  private func name(_ name: String, _ text: String) -> String {
    let name = name.reduce(into: "") { $0 += $1.isUppercase ? "_\($1.lowercased())" : "\($1)" }
    return text.hasSuffix(" s") ? name + "_ms" : name
  }

  /// Returns the comment before a declaration, as one line.
  private func comment(before declaration: String) throws -> String {
    let end = try #require(header.range(of: declaration), "there is no '\(declaration)'").lowerBound
    let start = try #require(header[..<end].range(of: "/* ", options: .backwards)).upperBound
    return header[start..<end].split(whereSeparator: \.isWhitespace).filter { $0 != "*" }.joined(separator: " ")
  }

  @Test func everyLimitHasAFieldWithItsDefault() throws {
    try check(Configuration.limits, Configuration())
    try check(ChatOptions.limits, ChatOptions())
  }

  private func check<Settings>(_ limits: [Limit<Settings>], _ settings: Settings) throws {
    let fields = Dictionary(uniqueKeysWithValues: defaults.map { ($0.label!, $0.value) })
    let units = ["B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, " s": 1000]
    for limit in limits {
      let text = limit.text(settings)
      let name = name(limit.name, text)
      let number = text.prefix { $0.isNumber }
      let unit = text.dropFirst(number.count)
      #expect(fields[name] as? Int64 == Int64(Int(number)! * (units[String(unit)] ?? 1)), "\(name) is \(text)")

      let comment = try comment(before: "int64_t \(name);")
      let default_ = unit.isEmpty ? text : "\(number) \(unit.trimmingCharacters(in: .whitespaces))"
      #expect(comment.contains("Default: \(default_)"), "confab.h says of \(name): \(comment)")
      let isBytes = unit.hasSuffix("B")
      #expect(comment.contains("Milliseconds") == (unit == " s"), "unit of \(name)")
      #expect(comment.contains("Bytes") == isBytes, "unit of \(name)")
      #expect(!limit.canBeOff || comment.contains("0 means"), "\(name) can be off")
      for code in limit.effect.matches(of: /\d{3,4}/) {
        #expect(comment.contains(code.output), "\(name): \(limit.effect)")
      }
    }
  }

  @Test func everyOtherFieldHasADefault() throws {
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
