import Foundation
import Testing

/// `WEIR_TRIALS` says how many (1,000 without it), `WEIR_SEED` where they begin.
@Suite("A crash beside cursors")
struct CursorCrashTests {
    @Test func `leaves each at its last acknowledged commit or a later one, within the log`()
        throws
    {
        let environment = ProcessInfo.processInfo.environment
        let trials = environment["WEIR_TRIALS"].flatMap { UInt64($0) } ?? 1000
        let start = environment["WEIR_SEED"].flatMap { UInt64($0) } ?? 1
        var acknowledged = 0
        var moved = 0
        for seed in start..<start + trials {
            var trial = try CursorCrashTrial(seed: seed)
            do {
                try trial.run()
            } catch {
                Issue.record("\(error)\nRepeat it with WEIR_SEED=\(seed) WEIR_TRIALS=1.")
                if trials > 1 { return }
            }
            acknowledged += trial.acknowledged
            moved += trial.moved
        }
        // What never came proves nothing.
        #expect(trials < 300 || (acknowledged > 1000 && moved > 10))
        print(
            "cursor crashes: \(trials) trials, \(acknowledged) acknowledged commits,",
            "\(moved) cursors moved back")
    }
}
