import Foundation
import Testing

/// `WEIR_TRIALS` says how many lives (300 without it), `WEIR_SEED` where they begin.
@Suite("A producer that sends again")
struct ProducerSimulation {
    @Test func `finds every id once in the log, whenever the crash comes`() throws {
        let environment = ProcessInfo.processInfo.environment
        let trials = environment["WEIR_TRIALS"].flatMap { UInt64($0) } ?? 300
        let start = environment["WEIR_SEED"].flatMap { UInt64($0) } ?? 1
        var (duplicates, survivors, failures, jumps) = (0, 0, 0, 0)
        for seed in start..<start + trials {
            var trial = try ProducerTrial(seed: seed)
            do {
                try trial.run()
            } catch {
                Issue.record("\(error)\nRepeat it with WEIR_SEED=\(seed) WEIR_TRIALS=1.")
                if trials > 1 { return }
            }
            duplicates += trial.duplicates
            survivors += trial.survivors
            failures += trial.failures
            jumps += trial.jumps
        }
        // A repeat that was none, and a fault that never struck, prove nothing.
        #expect(trials < 300 || (duplicates > 0 && survivors > 0 && failures > 0 && jumps > 0))
        print(
            "producer simulation: \(trials) trials, \(duplicates) repeats, \(survivors) producers",
            "ahead of their receipts, \(failures) failed appends, \(jumps) jumps of the clock")
    }
}
