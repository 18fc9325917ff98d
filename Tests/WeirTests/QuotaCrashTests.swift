import Testing
import WeirBase
import WeirFiles
import WeirLog
import WeirTesting

@testable import Weir

/// The quota of a store is set and changed, with each operation as the machine's last one.
@Suite("A crash while the store's quota is set")
struct QuotaCrashTests {
    typealias Engine = StoreEngine<SimulatedFileSystem>
    private static let quotas = [
        Quota(bytesMax: 1), Quota(bytesMax: 2, policy: .wait), nil, Quota(bytesMax: 3),
    ]

    /// How many of the quotas were set, as the dying machine was told; one more may be.
    private func set(_ disk: SimulatedFileSystem, _ machine: SimulatedMachine) -> Int {
        var done = 0
        do throws(WeirError) {
            let engine = try Engine.open(files: disk, host: machine.host, creating: true)
            try engine.create(StoreQuota.streamName, StoreQuota.configuration)
            for quota in Self.quotas {
                var settings = StoreQuota.configuration
                settings.quota = quota
                try engine.stream(StoreQuota.streamName)?.writer?.configure(settings)
                done += 1
            }
            try engine.close()
            return done + 1
        } catch {
            // A sync that the machine did not live through poisons.
            #expect([.machineStopped, .poisoned].contains(error.code), "\(error)")
        }
        return done
    }

    @Test func `leaves the old one or the new`() throws {
        var operation = 1
        var stages: Set<Int> = []
        while true {
            let machine = SimulatedMachine(seed: 1)
            let disk = SimulatedFileSystem(seed: 5)
            disk.stop(after: operation)
            let done = set(disk, machine)
            for seed in 0..<8 {
                let left = disk.afterPowerLoss(seed: UInt64(seed * 7919 + operation))
                machine.restart()
                let engine = try Engine.open(files: left, host: machine.host, creating: true)
                let last = min(done, Self.quotas.count)
                let allowed = ([nil] + Self.quotas)[last...].prefix(2)
                #expect(
                    allowed.contains(engine.quota),
                    "operation \(operation), \(seed): \(engine.quota as Any) after \(done)")
                #expect(!engine.reports.contains { $0.isDamage })
                try engine.close()
            }
            stages.insert(done)
            if done > Self.quotas.count { break }
            operation += 1
        }
        #expect(stages.count == Self.quotas.count + 2, "not every change was interrupted")
    }
}
