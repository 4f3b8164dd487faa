// swift-tools-version: 6.2
import PackageDescription

/// The settings of all Swift targets. With strict memory safety each unsafe expression must be marked; `make lint` checks
/// that only some folders have any.
let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableExperimentalFeature("Lifetimes"),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

/// The programs that the documentation shows.
let exampleSettings: [SwiftSetting] = [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)]
let examples =
  ["Echo", "Chat", "Tasks", "Service", "Desk", "Door", "Host", "OwnLoop", "Users"].map { name in
    Target.executableTarget(
      name: "Example\(name)",
      dependencies: [
        "CLibwebsockets", "Confab", "ConfabChat", .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      path: "Tests/Examples/\(name)", swiftSettings: exampleSettings)
  } + [
    .target(
      name: "ExampleComments",
      dependencies: [
        "Confab", "ConfabChat", "ConfabMetrics", "ConfabNats", "ConfabSQLite",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ], path: "Tests/Examples/Comments", swiftSettings: exampleSettings)
  ]

/// Programs of the tests. The Makefile sets CONFAB_TESTS; other builds do not need them.
let testPrograms: [Target] =
  Context.environment["CONFAB_TESTS"] == nil
  ? []
  : [
    .target(name: "CSimulation", dependencies: ["CLibwebsockets"], path: "Tests/Simulation/Engine"),
    // A program of its own, because it links simulated loops and sockets instead of libuv and libwebsockets.
    .executableTarget(
      name: "Simulation",
      dependencies: [
        "CSimulation", "Confab", "ConfabChat", .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ], path: "Tests/Simulation", exclude: ["Engine"], swiftSettings: exampleSettings),
    // Prints the results of the server's request parser, for a comparison with another parser.
    .executableTarget(
      name: "ParseRequests", dependencies: ["Confab"], path: "Tests/Programs/ParseRequests",
      swiftSettings: exampleSettings),
    // Starts and stops servers, for a check for leaks.
    .executableTarget(
      name: "LifecycleCheck",
      dependencies: [
        "Confab", "ConfabChat", "ConfabTestSupport", .product(name: "Logging", package: "swift-log"),
      ], path: "Tests/Programs/LifecycleCheck", swiftSettings: settings),
  ]

/// The plugin for `make docs`, which other builds do not need.
let documentation: [Package.Dependency] =
  Context.environment["CONFAB_DOCS"] == nil
  ? [] : [.package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.4.0")]

/// The parts of the program that need a C library of their own. Builds leave them out with `--disable-default-traits`.
let traits: Set<Trait> = [
  .trait(name: "NATS", description: "`confab serve --nats`, which needs libnats."),
  .trait(name: "SQLite", description: "`confab serve --history`, which needs SQLite."),
  .default(enabledTraits: ["NATS", "SQLite"]),
]

let package = Package(
  name: "confab",
  products: [
    .library(name: "Confab", targets: ["Confab"]),
    .library(name: "ConfabChat", targets: ["ConfabChat"]),
    .library(name: "ConfabJWT", targets: ["ConfabJWT"]),
    .library(name: "ConfabNats", targets: ["ConfabNats"]),
    .library(name: "ConfabSQLite", targets: ["ConfabSQLite"]),
    .library(name: "ConfabMetrics", targets: ["ConfabMetrics"]),
    // `make install` builds the C libraries from this one.
    .library(name: "ConfabC", type: .static, targets: ["ConfabC"]),
    .executable(name: "confab", targets: ["ConfabCLI"]),
  ],
  traits: traits,
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.1.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
    // Only for ConfabMetrics.
    .package(url: "https://github.com/apple/swift-metrics", from: "2.7.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.6.0"),
  ] + documentation,
  targets: [
    .systemLibrary(
      name: "CLibwebsockets",
      pkgConfig: "libwebsockets",
      providers: [.apt(["libwebsockets-dev"])]
    ),
    .target(
      name: "Confab",
      dependencies: [
        "CLibwebsockets",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      swiftSettings: settings
    ),
    .systemLibrary(
      name: "CUtf8proc", providers: [.apt(["libutf8proc-dev"])]
    ),
    .target(
      name: "ConfabChat",
      dependencies: [
        "Confab", "ConfabPage", "CUtf8proc", .product(name: "DequeModule", package: "swift-collections"),
      ],
      swiftSettings: settings
    ),
    // OpenSSL comes with libwebsockets.
    .systemLibrary(name: "COpenSSL", providers: [.apt(["libssl-dev"])]),
    .target(name: "ConfabJWT", dependencies: ["COpenSSL", "Confab", "ConfabChat"], swiftSettings: settings),
    // Only ConfabNats needs libnats.
    .systemLibrary(
      name: "CNats", providers: [.apt(["libnats-dev"])]
    ),
    .target(
      name: "ConfabNats",
      dependencies: [
        "CNats", "ConfabChat", .product(name: "DequeModule", package: "swift-collections"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: settings
    ),
    .systemLibrary(name: "CSQLite", providers: [.apt(["libsqlite3-dev"])]),
    .target(
      name: "ConfabSQLite",
      dependencies: ["Confab", "ConfabChat", "CSQLite", .product(name: "Logging", package: "swift-log")],
      swiftSettings: settings
    ),
    .target(
      name: "ConfabMetrics",
      dependencies: [
        "Confab",
        .product(name: "CoreMetrics", package: "swift-metrics"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      swiftSettings: settings
    ),
    .target(name: "CConfab", path: "include", publicHeadersPath: "."),
    .target(
      name: "ConfabC",
      dependencies: [
        "CConfab", "Confab", "ConfabChat", "ConfabSQLite",
        .target(name: "ConfabNats", condition: .when(traits: ["NATS"])),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: settings
    ),
    .target(name: "ConfabPage", resources: [.copy("Page")], publicHeadersPath: "."),
    .executableTarget(
      name: "ConfabCLI",
      dependencies: [
        "CConfab", "Confab", "ConfabChat", "ConfabJWT",
        .target(name: "ConfabNats", condition: .when(traits: ["NATS"])),
        .target(name: "ConfabSQLite", condition: .when(traits: ["SQLite"])),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
      ],
      exclude: ["confab.1", "confab.service", "confab.socket"],
      swiftSettings: settings
    ),
    .target(name: "ConfabTestSupport", path: "Tests/ConfabTestSupport", swiftSettings: settings),
    .testTarget(
      name: "ConfabTests",
      dependencies: [
        "CLibwebsockets", "Confab", "ConfabTestSupport",
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ], swiftSettings: settings),
    .testTarget(
      name: "ConfabChatTests", dependencies: ["Confab", "ConfabChat", "ConfabTestSupport"], swiftSettings: settings),
    .testTarget(
      name: "ConfabJWTTests", dependencies: ["Confab", "ConfabChat", "ConfabJWT", "ConfabTestSupport"],
      swiftSettings: settings),
    .testTarget(
      name: "ConfabMetricsTests",
      dependencies: [
        "Confab", "ConfabChat", "ConfabMetrics", "ConfabTestSupport",
        .product(name: "MetricsTestKit", package: "swift-metrics"),
      ], swiftSettings: settings),
    .testTarget(
      name: "ConfabSQLiteTests",
      dependencies: ["Confab", "ConfabChat", "ConfabSQLite", .product(name: "Logging", package: "swift-log")],
      swiftSettings: settings),
    .testTarget(name: "ConfabNatsTests", dependencies: ["ConfabChat", "ConfabNats"], swiftSettings: settings),
    .testTarget(
      name: "ConfabCTests", dependencies: ["CConfab", "Confab", "ConfabC", "ConfabChat"], swiftSettings: settings),
  ] + examples + testPrograms
)
