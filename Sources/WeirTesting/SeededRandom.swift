import WeirBase
package import WeirFiles

/// SplitMix64 (S. Vigna): small, fast, and the same everywhere for the same seed.
package struct SeededRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64
    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// True once in so many.
    package mutating func oneIn(_ count: Int) -> Bool { next() % UInt64(count) == 0 }
    package mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }
}

/// A machine whose clock and ids come from a seed.
package final class SimulatedMachine: Sendable {
    private struct State {
        var random: SeededRandom
        var microseconds: Int64 = 1_700_000_000_000_000
        var boot: UInt64 = 1
    }
    private let state: Lock<State>

    package init(seed: UInt64) { state = Lock(State(random: SeededRandom(seed: seed))) }

    /// Power loss: the kernel draws a new boot id. Without it, the process was only killed.
    package func restart() { state.withLock { $0.boot += 1 } }
    /// The wall clock jumps, backwards too.
    package func moveClock(microseconds: Int64) {
        state.withLock { $0.microseconds += microseconds }
    }

    package var host: Host {
        let boot = state.withLock { $0.boot }
        return Host(
            now: { [self] in
                state.withLock {
                    $0.microseconds += 7
                    return Timestamp(microseconds: $0.microseconds)
                }
            },
            random: { [self] in state.withLock { $0.random.next() | 1 } },
            bootID: BootID(high: boot, low: 42), processID: 1, hostName: "simulated",
            programName: "trial")
    }
}
