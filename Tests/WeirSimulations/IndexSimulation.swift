import Foundation
import Testing

/// `WEIR_TRIALS` says how many (60 without it), `WEIR_SEED` where they begin.
@Suite("An index after crashes")
struct IndexSimulation {
    @Test func `answers as a walk over the log does, whatever became of it`() throws {
        let environment = ProcessInfo.processInfo.environment
        let trials = environment["WEIR_TRIALS"].flatMap { UInt64($0) } ?? 60
        let start = environment["WEIR_SEED"].flatMap { UInt64($0) } ?? 1
        let folder = TrialFolder()
        var tally = IndexTally()
        for seed in start..<start + trials {
            var trial = try IndexTrial(seed: seed, in: folder)
            do {
                try trial.run()
            } catch {
                Issue.record("\(error)\nRepeat it with WEIR_SEED=\(seed) WEIR_TRIALS=1.")
                if trials > 1 { return }
            }
            tally.add(trial.tally)
        }
        if trials >= 60 {
            for fault in IndexFault.allCases {
                #expect(tally.faults[fault, default: 0] > 0, "\(fault) never came")
            }
        }
        if trials >= 200 {
            #expect(tally.crashes > trials / 4 && tally.clockJumps > 10 && tally.forgotten > 0)
            #expect(tally.byIndex > tally.probes / 30)
            #expect(tally.headersByIndex > tally.probes / 100)
            #expect(tally.conditions > tally.probes / 8)
            #expect(tally.conditionsByIndex > tally.conditions / 100)
        }
        let faults = IndexFault.allCases.map { "\(tally.faults[$0, default: 0]) \($0)" }
        print(
            "index simulation: \(trials) histories, \(tally.crashes) crashes, \(tally.probes)",
            "probes, \(tally.byIndex) keys and \(tally.headersByIndex) headers by the index alone,",
            "\(tally.conditions) conditions, \(tally.conditionsByIndex) of a key by the index,",
            "\(faults.joined(separator: ", ")); \(tally.forgotten) times ahead")
    }
}
