import Testing
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

@testable import Weir

/// The machine that holds the backups stops at every operation of a backup, or of a restore, and
/// what power loss, or the death of the process, leaves is looked at.
@Suite("A crash")
struct BackupCrashTests {
    /// A store of which there is a backup, and that has grown since.
    private func grown(seed: UInt64) throws -> (trial: SimulatedBackup, name: String) {
        let trial = SimulatedBackup(seed: seed)
        let engine = try trial.open()
        let writer = try SmallStream.create(in: engine)
        try SmallStream.append(5, to: writer)
        try writer.sync()
        let report = try trial.backup(.init(keep: 1))
        try SmallStream.append(4, to: writer)
        try engine.close()
        return (trial, report.snapshot.name)
    }

    /// Operations of the second backup, when nothing stops it.
    private func operationCount(_ options: BackupOptions) throws -> Int {
        let (trial, _) = try grown(seed: 1)
        let before = trial.target.operationCount
        try trial.backup(options)
        return trial.target.operationCount - before
    }

    @Test(arguments: [nil, 1] as [Int?], [false, true])
    func `anywhere in a backup leaves a whole one, and the next one completes`(
        keep: Int?, isPowerLoss: Bool
    ) throws {
        let options = BackupOptions(keep: keep)
        let count = try operationCount(options)
        #expect(count > 20)
        for stop in 1...count {
            var (trial, first) = try grown(seed: UInt64(stop))
            trial.target.stop(after: stop)
            var finished: String?
            do throws(WeirError) {
                finished = try trial.backup(options).snapshot.name
            } catch {
                #expect(error.code == .machineStopped, "stop \(stop): \(error)")
            }
            trial.target =
                isPowerLoss
                ? trial.target.afterPowerLoss(seed: UInt64(stop)) : trial.target.afterKill()
            try check(trial, first, finished, keep, "stop \(stop)")
            let next = try trial.backup(options)
            #expect(try trial.offsets(next.snapshot.name) == Array(0..<9), "stop \(stop)")
            #expect(next.damage.isEmpty)
        }
    }

    @Test func `in a first backup, and power loss behind the next one, leave that whole`() throws {
        var stop = 0
        while true {
            stop += 1
            var trial = SimulatedBackup(seed: UInt64(stop))
            let engine = try trial.open()
            let writer = try SmallStream.create(in: engine)
            try SmallStream.append(5, to: writer)
            try engine.close()
            trial.target.stop(after: stop)
            var isStopped = false
            do throws(WeirError) {
                try trial.backup()
            } catch {
                #expect(error.code == .machineStopped)
                isStopped = true
            }
            trial.target = trial.target.afterKill()
            let name = try trial.backup().snapshot.name
            // No name is left that was not synced.
            trial.target = trial.target.afterPowerLoss(seed: 1, keptNames: 0)
            #expect(try trial.offsets(name) == Array(0..<5), "stop \(stop)")
            if !isStopped { return }
        }
    }

    /// Every snapshot that is there can be restored whole, and there is one at least.
    private func check(
        _ trial: SimulatedBackup, _ first: String, _ finished: String?, _ keep: Int?,
        _ place: String
    ) throws {
        let snapshots = try trial.snapshots()
        #expect(!snapshots.isEmpty, "\(place)")
        if let finished { #expect(snapshots.contains { $0.name == finished }, "\(place)") }
        if keep == nil { #expect(snapshots.contains { $0.name == first }, "\(place)") }
        for snapshot in snapshots {
            #expect(snapshot.trouble == nil, "\(place)")
            let count: UInt64 = snapshot.name == first ? 5 : 9
            let restored = try trial.restore(snapshot.name)
            #expect(restored.report.damage.isEmpty, "\(place)")
            #expect(try trial.offsets(snapshot.name) == Array(0..<count), "\(place)")
        }
    }

    @Test(arguments: [false, true])
    func `anywhere in a restore leaves no store, and the next one completes`(
        isPowerLoss: Bool
    ) throws {
        let (trial, name) = try grown(seed: 4)
        let whole = SimulatedFileSystem(seed: 5)
        try trial.restore(name, into: whole)
        for stop in 1..<whole.operationCount {
            let disk = SimulatedFileSystem(seed: UInt64(stop))
            disk.stop(after: stop)
            do throws(WeirError) {
                try trial.restore(name, into: disk)
            } catch {
                #expect(error.code == .machineStopped, "stop \(stop): \(error)")
            }
            let after = isPowerLoss ? disk.afterPowerLoss(seed: UInt64(stop)) : disk.afterKill()
            // Whoever finds the file WEIR finds all that it stands for.
            if try after.list("").contains(StoreLayout.header) {
                try expectRecords(after, trial, "stop \(stop)")
            }
            try trial.restore(name, into: after)
            try expectRecords(after, trial, "stop \(stop), again")
        }
    }

    private func expectRecords(
        _ disk: SimulatedFileSystem, _ trial: SimulatedBackup, _ place: String
    ) throws {
        let engine = try StoreEngine.open(files: disk, host: trial.machine.host, creating: false)
        #expect(engine.reports.filter(\.isDamage).isEmpty, "\(place)")
        #expect(
            try SmallStream.offsets(try SmallStream.view(engine)) == Array(0..<5), "\(place)")
        try engine.close()
    }

    @Test func `of a full disk in a backup leaves the earlier one, and room`() throws {
        let (trial, first) = try grown(seed: 6)
        let before = try trial.target.list(StoreLayout.streams).sorted()
        for write in 1...3 {
            trial.target.failWrite(after: write)
            do throws(WeirError) {
                try trial.backup()
                Issue.record("write \(write) did not fail")
            } catch {
                #expect(error.code == .noSpace, "\(error)")
            }
            #expect(try trial.snapshots().map(\.name) == [first])
            #expect(try trial.offsets(first) == Array(0..<5))
            #expect(try trial.target.list(StoreLayout.streams).sorted() == before)
        }
    }
}
