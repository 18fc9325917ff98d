/// A load that flow control must live with.
package enum LoadPattern: String, Sendable, CaseIterable {
    /// A replay from a cold disk: the log has more at all times.
    case steady
    /// A tail whose producers send twenty times as much for a moment, twice.
    case spike
    /// A tail whose producers send more and more, up to twice what the consumer can do, then stop.
    case sawtooth
    /// A replay whose consumer becomes twenty times slower, and recovers.
    case slowConsumer = "slow-consumer"
    /// A tail whose consumer does nothing for 60 s, and comes back to what piled up.
    case outage
    /// A replay with two kinds of batches: most are quick, some take 27 times as long.
    case bimodal
    /// 1,000 consumers from fast to slow replay through one store's threads and memory.
    case thousand

    /// A millisecond, in nanoseconds.
    static let millisecond: Int64 = 1_000_000

    /// When the load ends.
    var duration: Int64 {
        switch self {
        case .steady, .bimodal: 4_000 * Self.millisecond
        case .spike: 2_200 * Self.millisecond
        case .sawtooth: 2_400 * Self.millisecond
        case .slowConsumer: 7_000 * Self.millisecond
        case .outage: 72_000 * Self.millisecond
        case .thousand: 3_000 * Self.millisecond
        }
    }

    /// When the load changes; the start is one of them.
    var disturbances: [Int64] {
        switch self {
        case .steady, .bimodal, .thousand: [0]
        case .spike: [0, 300, 450, 1_300, 1_450].map { $0 * Self.millisecond }
        case .sawtooth: [0, 800, 1_600].map { $0 * Self.millisecond }
        case .slowConsumer: [0, 1_000, 5_000].map { $0 * Self.millisecond }
        case .outage: [0, 4_000, 64_000].map { $0 * Self.millisecond }
        }
    }

    package var consumerCount: Int { self == .thousand ? 1_000 : 1 }
    var readerThreadCount: Int { self == .thousand ? 12 : 1 }
    /// Memory that all consumers share.
    var budgetBytes: Int { self == .thousand ? 256 << 20 : 1 << 40 }

    /// A tail's batches are smaller than a replay's: they are sealed before they are full.
    var batchBytes: Double {
        switch self {
        case .spike, .sawtooth: 16 * 1_024
        case .steady, .slowConsumer, .outage, .bimodal, .thousand: 64 * 1_024
        }
    }

    /// Whether the log's pages must come from a disk: a tail's are still in memory.
    var isCold: Bool {
        switch self {
        case .spike, .sawtooth: false
        case .steady, .slowConsumer, .outage, .bimodal, .thousand: true
        }
    }

    /// Batches that arrive a second at a moment; `nil` where the log has more at all times.
    func arrivalsPerSecond(at time: Int64) -> Double? {
        let milliseconds = time / Self.millisecond
        switch self {
        case .steady, .slowConsumer, .bimodal, .thousand: return nil
        case .spike:
            let isSpike =
                (300..<450).contains(milliseconds) || (1_300..<1_450).contains(milliseconds)
            return isSpike ? 40_000 : 2_000
        case .sawtooth:
            // Not zero: the next arrival is drawn from this rate.
            return max(200, Double(time % (800 * Self.millisecond)) / 800_000_000 * 10_000)
        case .outage: return 50
        }
    }

    /// How long a batch is worked on, in nanoseconds: `size` is 1 for the usual one.
    func lease(
        of size: Double, at time: Int64, slowness: Double, random: inout SimulatedRandom
    ) -> Double {
        // Half fixed, half by chance: the deviation is half the mean.
        let work = size * (0.5 + random.exponential() / 2)
        let milliseconds = time / Self.millisecond
        switch self {
        case .steady: return 600_000 * work
        case .spike: return 100_000 * work
        case .sawtooth: return 200_000 * work
        case .slowConsumer:
            return (1_000..<5_000).contains(milliseconds) ? 12_000_000 * work : 600_000 * work
        case .outage:
            let isOut = (4_000..<64_000).contains(milliseconds)
            return isOut ? Double(64_000 * Self.millisecond - time) : 1_000_000 * work
        case .bimodal: return (random.uniform() < 0.08 ? 8_000_000 : 300_000) * work
        case .thousand: return slowness * work
        }
    }

    /// What makes consumers differ: the nanoseconds that they need for a batch.
    func slowness(ofConsumer index: Int, random: inout SimulatedRandom) -> Double {
        switch index % 100 {
        case 0: random.logUniform(1_000_000, 4_000_000)
        case 1...5: random.logUniform(5_000_000, 10_000_000)
        default: random.logUniform(20_000_000, 40_000_000)
        }
    }
}
