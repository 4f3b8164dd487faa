// swift-tools-version: 6.2
import PackageDescription

// The comparison with SwiftNIO: a package of its own, so that Confab's package does not depend on SwiftNIO. It runs the
// built server as a separate program.

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

let nio = ["NIOCore", "NIOEmbedded", "NIOHTTP1", "NIOPosix", "NIOWebSocket"].map {
  Target.Dependency.product(name: $0, package: "swift-nio")
}

let package = Package(
  name: "confab-compare",
  platforms: [.macOS(.v26)],
  products: [.executable(name: "confab-compare", targets: ["ConfabCompare"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.80.0"),
  ],
  targets: [
    .target(name: "CLoad", path: "CLoad"),
    .executableTarget(
      name: "ConfabCompare",
      dependencies: ["CLoad", .product(name: "ArgumentParser", package: "swift-argument-parser")] + nio,
      path: "Program", swiftSettings: settings),
    .testTarget(
      name: "ConfabCompareTests", dependencies: ["CLoad", "ConfabCompare"] + nio, path: "Tests", swiftSettings: settings
    ),
  ]
)
