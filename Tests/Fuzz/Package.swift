// swift-tools-version: 6.2
import PackageDescription

// A separate package, because it needs the compiler's fuzzing runtime, and Confab built with coverage and testable
// internals (see `make fuzzers`). Each file of Targets is one fuzzer.

let package = Package(
  name: "confab-fuzz",
  platforms: [.macOS(.v26)],
  dependencies: [.package(name: "confab", path: "../..")],
  targets: [
    .executableTarget(
      name: "Fuzz",
      dependencies: [
        .product(name: "Confab", package: "confab"), .product(name: "ConfabChat", package: "confab"),
        .product(name: "ConfabJWT", package: "confab"),
        .product(name: "ConfabNats", package: "confab"), .product(name: "ConfabSQLite", package: "confab"),
      ], path: ".", exclude: ["corpus"], sources: ["Support", "Targets"],
      swiftSettings: [.treatAllWarnings(as: .error), .unsafeFlags(["-parse-as-library"])])
  ]
)
