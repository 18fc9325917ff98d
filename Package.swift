// swift-tools-version: 6.3
import PackageDescription

/// Who may import whom. A module may use only what stands in its row; `TidyTests` checks the
/// imports against this table, and the targets below are made from it.
let layers: [String: [String]] = [
    "CWeirSystem": [],  // C: what Swift cannot call (futex, openat2, SIGBUS guard)
    "WeirBase": [],  // units, limits, errors, events, the one lock we use
    "WeirFormat": ["WeirBase"],  // bytes <-> values; no files
    "WeirFiles": ["WeirBase", "CWeirSystem"],  // the seam to the system; knows no format
    "WeirFlow": ["WeirBase"],  // FLOW PATH: numbers, never bytes
    "WeirIndex": ["WeirBase"],  // SQLite: where to look; never sees the log
    "WeirLog": ["WeirBase", "WeirFormat", "WeirFiles"],  // DATA PATH: segments, writer, readers
    "WeirCompaction": ["WeirBase", "WeirFormat", "WeirFiles", "WeirLog"],  // what may go
    "WeirRecovery": ["WeirBase", "WeirFormat", "WeirFiles"],  // FAILURE PATH: scan, plan, repair
    // The facade: the paths meet here; tasks and threads are owned here.
    "Weir": [
        "WeirBase", "WeirFormat", "WeirFiles", "WeirFlow", "WeirIndex", "WeirLog", "WeirRecovery",
        "WeirCompaction",
    ],
    "WeirSQL": ["WeirBase", "Weir"],  // records as tables of SQLite
    // Product `weir`; WeirFlow for the simulated load patterns.
    "WeirCLI": ["Weir", "WeirFlow", "WeirSQL"],
    "WeirTesting": ["WeirBase", "WeirFormat", "WeirFiles"],  // crashing and faulty file systems
]

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableExperimentalFeature("Lifetimes"),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

func module(_ name: String, system: [String] = [], products: [Target.Dependency] = []) -> Target {
    let inner = (layers[name] ?? []) + system
    return .target(
        name: name,
        dependencies: inner.map { .target(name: $0) } + products,
        swiftSettings: settings + [.strictMemorySafety()]
    )
}

func tests(_ name: String, of modules: [String], products: [Target.Dependency] = []) -> Target {
    .testTarget(
        name: name,
        dependencies: modules.map { .target(name: $0) } + products,
        swiftSettings: settings
    )
}

let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let lifecycle: Target.Dependency = .product(
    name: "ServiceLifecycle", package: "swift-service-lifecycle")
let histogram: Target.Dependency = .product(name: "Histogram", package: "hdrhistogram-swift")
let database: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let databaseCalls: Target.Dependency = .product(name: "GRDBSQLite", package: "GRDB.swift")
let argumentParser: Target.Dependency = .product(
    name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "weir",
    platforms: [.macOS("26.0")],
    products: [
        .library(name: "Weir", targets: ["Weir"]),
        .library(name: "WeirSQL", targets: ["WeirSQL"]),
        .executable(name: "weir", targets: ["WeirCLI"]),
        .executable(name: "weir-flow-soak", targets: ["FlowSoak"]),
        .executable(name: "weir-bench-index", targets: ["IndexBench"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0"),
    ],
    targets: [
        .systemLibrary(
            name: "CLZ4", pkgConfig: "liblz4",
            providers: [.apt(["liblz4-dev"]), .brew(["lz4"])]),
        .systemLibrary(
            name: "CISAL", pkgConfig: "libisal",
            providers: [.apt(["libisal-dev"]), .brew(["isa-l"])]),
        .target(name: "CWeirSystem"),
        module("WeirBase"),
        module("WeirFormat", system: ["CLZ4", "CISAL"]),
        module("WeirFiles"),
        module("WeirFlow"),
        module("WeirIndex", products: [database, databaseCalls]),
        module("WeirLog"),
        module("WeirCompaction"),
        module("WeirRecovery"),
        module("Weir", products: [logging, lifecycle, histogram]),
        module("WeirSQL", products: [database, databaseCalls]),
        module("WeirTesting"),
        .executableTarget(
            name: "WeirCLI",
            dependencies: ["Weir", "WeirFlow", "WeirSQL", argumentParser, database],
            swiftSettings: settings + [.strictMemorySafety()]),
        tests("WeirBaseTests", of: ["WeirBase"]),
        tests("WeirFormatTests", of: ["WeirBase", "WeirFormat", "WeirTesting"]),
        tests("WeirFilesTests", of: ["WeirBase", "WeirFiles", "WeirTesting"]),
        tests("WeirFlowTests", of: ["WeirBase", "WeirFlow", "WeirTesting"]),
        tests("WeirIndexTests", of: ["WeirBase", "WeirIndex", "WeirTesting"]),
        tests(
            "WeirRecoveryTests",
            of: ["WeirBase", "WeirFormat", "WeirFiles", "WeirRecovery", "WeirTesting"]),
        tests(
            "WeirLogTests",
            of: ["WeirBase", "WeirFormat", "WeirFiles", "WeirLog", "WeirRecovery", "WeirTesting"]),
        tests(
            "WeirCompactionTests",
            of: [
                "WeirBase", "WeirFormat", "WeirFiles", "WeirLog", "WeirCompaction", "WeirTesting",
            ]),
        tests(
            "WeirTests",
            of: [
                "WeirBase", "WeirFormat", "WeirFiles", "WeirFlow", "WeirIndex", "WeirLog",
                "WeirRecovery", "WeirCompaction", "Weir", "WeirTesting",
            ], products: [logging, lifecycle]),
        tests("WeirSQLTests", of: ["WeirBase", "Weir", "WeirSQL"], products: [database]),
        // What is run with the optimiser too, and compiled with it: the fewer files, the better.
        tests(
            "WeirSimulations",
            of: [
                "WeirBase", "WeirFormat", "WeirFiles", "WeirFlow", "WeirIndex", "WeirLog",
                "WeirRecovery", "Weir", "WeirSQL", "WeirTesting",
            ], products: [logging, database]),
        .target(name: "CMallocCount", path: "Tests/CMallocCount"),
        tests("AllocationTests", of: ["Weir", "CMallocCount"]),
        tests("WeirCLITests", of: ["Weir", "WeirCLI"], products: [argumentParser]),
        .testTarget(name: "TidyTests", swiftSettings: settings),
        // Real runs of flow control; it sees Weir as its users do.
        .executableTarget(
            name: "FlowSoak", dependencies: ["Weir"], path: "Tests/FlowSoak",
            swiftSettings: settings),
        // Figures of the index; it also fills one without a log, which only modules of ours can.
        .executableTarget(
            name: "IndexBench",
            dependencies: [
                "Weir", "WeirBase", "WeirFormat", "WeirIndex", "WeirTesting", databaseCalls,
            ],
            path: "Tests/IndexBench", swiftSettings: settings),
    ]
)

// `tools/lib.sh` sets it for the tests with the optimiser.
if Context.environment["WEIR_SIMULATIONS"] != nil {
    let optimised = ["WeirSimulations", "AllocationTests"]
    package.targets.removeAll { $0.type == .test && !optimised.contains($0.name) }
}
