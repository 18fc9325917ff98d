// swift-tools-version: 6.3
import PackageDescription

// A package of its own: it sees Weir as its users do, and brings the benchmark library along.
let package = Package(
    name: "weir-benchmarks",
    platforms: [.macOS("26.0")],
    dependencies: [
        .package(name: "weir", path: ".."),
        .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
    ],
    targets: [
        .systemLibrary(
            name: "CISALBench", pkgConfig: "libisal", providers: [.apt(["libisal-dev"])]),
        .executableTarget(
            name: "weir-bench-peers",
            dependencies: [.product(name: "Weir", package: "weir")], path: "Sources/PeersWeir",
            swiftSettings: [.enableExperimentalFeature("Lifetimes")]),
        .executableTarget(
            name: "weir-bench-bare", dependencies: ["CISALBench"], path: "Sources/BareLoop"),
        .executableTarget(
            name: "WeirBenchmarks",
            dependencies: [
                .product(name: "Benchmark", package: "benchmark"),
                .product(name: "Weir", package: "weir"),
            ],
            path: "Benchmarks/WeirBenchmarks",
            plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]),
    ]
)
