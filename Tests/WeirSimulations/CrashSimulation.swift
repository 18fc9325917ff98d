import Foundation
import Testing

/// Seeded lives and deaths on a disk that may lose, keep or spoil whatever was not synced.
///
/// `WEIR_TRIALS` says how many (300 without it), `WEIR_SEED` where they begin.
@Suite("A crash")
struct CrashSimulation {
    @Test func `loses nothing acknowledged, whenever it comes`() throws {
        let environment = ProcessInfo.processInfo.environment
        let trials = environment["WEIR_TRIALS"].flatMap { UInt64($0) } ?? 300
        let start = environment["WEIR_SEED"].flatMap { UInt64($0) } ?? 1
        var crashes = 0
        var syncFailures = 0
        var spoiled = 0
        for seed in start..<start + trials {
            var trial = try CrashTrial(seed: seed)
            do {
                try trial.run()
            } catch {
                Issue.record("\(error)\nRepeat it with WEIR_SEED=\(seed) WEIR_TRIALS=1.")
                if trials > 1 { return }
            }
            crashes += trial.crashes
            syncFailures += trial.syncFailures
            spoiled += trial.spoiledBatches
        }
        // A fault that never struck proves nothing.
        #expect(crashes >= Int(trials))
        #expect(trials < 300 || (syncFailures > 0 && spoiled > 0))
        print(
            "crash simulation: \(trials) trials, \(crashes) crashes, \(syncFailures) failed syncs,",
            "\(spoiled) spoiled batches")
    }
}
