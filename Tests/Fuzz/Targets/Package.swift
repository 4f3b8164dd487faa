// swift-tools-version: 6.2
import PackageDescription

// A separate package, because the targets need the compiler's fuzzing runtime, and Confab built with coverage and
// testable internals (see `make fuzz`). Each file is one target.

let ideas = [
  "FuzzAssembly", "FuzzCompression", "FuzzEvents", "FuzzHistory", "FuzzHistoryFile", "FuzzLog", "FuzzOrigin",
  "FuzzPath",
  "FuzzProxy", "FuzzRates", "FuzzRequest", "FuzzStream", "FuzzUtf8",
]

let package = Package(
  name: "confab-fuzz",
  platforms: [.macOS(.v26)],
  dependencies: [.package(name: "confab", path: "../../..")],
  targets: [.target(name: "FuzzSupport", path: "Support")]
    + ideas.map { idea in
      .executableTarget(
        name: idea,
        dependencies: [
          "FuzzSupport", .product(name: "Confab", package: "confab"), .product(name: "ConfabChat", package: "confab"),
          .product(name: "ConfabNats", package: "confab"), .product(name: "ConfabSQLite", package: "confab"),
        ], path: ".",
        exclude: ["Support"] + ideas.filter { $0 != idea }.map { "\($0).swift" }, sources: ["\(idea).swift"],
        swiftSettings: [.treatAllWarnings(as: .error), .unsafeFlags(["-parse-as-library"])])
    }
)
