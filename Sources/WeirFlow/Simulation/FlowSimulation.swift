package import WeirBase

/// Runs a load against a window in simulated time, with the controller that the store uses.
///
///     arrivals ─▶ log ─▶ reader threads ─▶ window (queue, one batch leased) ─▶ consumer
///                            ▲                                                   │
///                            └─────────────── credit comes back ◀────────────────┘
///
/// A read costs a fixed time and its bytes; on a cold disk a wait for each stretch that is fetched;
/// and for a thread that slept a hop, which at times is long since others run too. Everything is
/// drawn from one seed, so that a run gives the same numbers everywhere.
package struct FlowSimulation: Sendable {
    /// How the window is chosen.
    package enum Policy: Sendable, Hashable, CustomStringConvertible {
        case adaptive
        case fixed(bytes: Int)
        /// As many batches of the pattern's usual size.
        case batches(Int)

        package var description: String {
            switch self {
            case .adaptive: "adaptive"
            case .fixed(let bytes) where bytes >= 1 << 20: "\(bytes >> 20) MiB"
            case .fixed(let bytes): "\(bytes >> 10) KiB"
            case .batches(let count): "\(count) batches"
            }
        }
    }

    /// The same for all loads and policies, as a user has them who sets nothing.
    package var knobs = FlowKnobs()

    package init() {}

    package func run(pattern: LoadPattern, policy: Policy, seed: UInt64) -> SimulationResult {
        var run = SimulationRun(pattern: pattern, policy: policy, seed: seed, knobs: knobs)
        run.perform()
        return run.result(seed: seed)
    }

    /// Sixteen fixed windows, of 4 KiB to 128 MiB: what a careful person could choose from.
    package static let fixedWindows: [Policy] = (12..<28).map { .fixed(bytes: 1 << $0) }

    /// What the adaptive window is held against: one too small, and one too large.
    package static let controls: [Policy] = [.batches(2), .fixed(bytes: 64 << 20)]
}
