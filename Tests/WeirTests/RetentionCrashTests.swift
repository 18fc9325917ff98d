import Testing
import Weir
import WeirBase
import WeirCompaction
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

/// Every operation of trims and their deletions as the last one, done or not, and of each every
/// disk that power loss may leave: with any of the names that were not synced, and without.
@Suite("A crash while records go")
struct RetentionCrashTests {
    typealias Engine = StoreEngine<SimulatedFileSystem>
    private static let goals: [UInt64] = [5, 9, 17]
    private static let recordCount: UInt64 = 20

    /// What the dying machine had been told: the log begins between these.
    private struct Promise {
        var reached: UInt64 = 0
        var asked: UInt64 = 0
        var isDone = false
    }

    private func prepare(_ machine: SimulatedMachine) throws -> SimulatedFileSystem {
        let disk = SimulatedFileSystem(seed: 3)
        let engine = try Engine.open(files: disk, host: machine.host, creating: true)
        let writer = try SmallStream.create(in: engine)
        for _ in 0..<Self.recordCount { try SmallStream.append(to: writer, needsSync: true) }
        try writer.sync()
        try engine.close()
        return disk
    }

    private func trim(_ disk: SimulatedFileSystem, _ machine: SimulatedMachine) -> Promise {
        var promise = Promise()
        do throws(WeirError) {
            let engine = try Engine.open(files: disk, host: machine.host, creating: false)
            guard let stream = engine.streams.first, let writer = stream.writer else {
                return promise
            }
            let leftovers = Leftovers(files: disk)
            for goal in Self.goals {
                promise.asked = goal
                let plan = RetentionPlan(
                    writer.manifest.state.segments, before: Offset(goal),
                    start: writer.view.logStart)
                try Retirement(writer, leftovers: leftovers).perform(plan)
                promise.reached = goal
                try leftovers.sweep()
            }
            try engine.close()
            promise.isDone = true
        } catch {
            #expect(error.code == .machineStopped, "\(error)")
        }
        return promise
    }

    @Test func `leaves the log at its old start or the new, and no file behind`() throws {
        var operation = 0
        var deletions = 0
        var isDone = false
        while !isDone {
            operation += 1
            for takesEffect in [false, true] {
                let machine = SimulatedMachine(seed: 1)
                let disk = try prepare(machine)
                disk.stop(after: operation, takingEffect: takesEffect)
                let promise = trim(disk, machine)
                let place = "operation \(operation), \(takesEffect)"
                for names in 0..<UInt64(1) << UInt64(disk.unsyncedNameCount) {
                    let left = disk.afterPowerLoss(
                        seed: names &* 7919 &+ UInt64(operation), keptNames: names)
                    machine.restart()
                    deletions += try check(left, promise, machine, "\(place), names \(names)")
                }
                // Last, since it is the same disk.
                deletions += try check(disk.afterKill(), promise, machine, "\(place), killed")
                isDone = promise.isDone
            }
        }
        #expect(operation > 20, "the trims were over before they were interrupted")
        #expect(deletions > 100, "no opening ever had a file left to remove")
    }

    /// Opens twice, since the first opening may leave names that only the cache has lost.
    private func check(
        _ disk: SimulatedFileSystem, _ promise: Promise, _ machine: SimulatedMachine,
        _ place: String
    ) throws -> Int {
        let filesBefore = try segmentFiles(disk)
        let first = try start(disk, promise, machine, place)
        let filesAfter = try segmentFiles(disk)
        let again = disk.afterPowerLoss(seed: 11)
        var held = promise
        held.reached = max(promise.reached, first)
        held.asked = held.reached
        #expect(try start(again, held, machine, place) == first, "\(place): the start moved")
        return filesBefore > filesAfter ? 1 : 0
    }

    private func start(
        _ disk: SimulatedFileSystem, _ promise: Promise, _ machine: SimulatedMachine,
        _ place: String
    ) throws -> UInt64 {
        let engine = try Engine.open(files: disk, host: machine.host, creating: false)
        #expect(!engine.reports.contains { $0.isDamage }, "\(place): \(engine.reports)")
        let view = try SmallStream.view(engine)
        let start = view.logStart.value
        #expect((promise.reached...promise.asked).contains(start), "\(place): begins at \(start)")
        let found = try SmallStream.offsets(view, from: start)
        #expect(found == Array(start..<Self.recordCount), "\(place): has \(found)")
        let manifest = try SmallStream.writer(engine).manifest.state
        let files = try segmentFiles(disk)
        #expect(files == manifest.segments.count, "\(place): \(files) files")
        try engine.close()
        return start
    }

    private func segmentFiles(_ disk: SimulatedFileSystem) throws -> Int {
        let names = try disk.list(StoreLayout.streams)
        let stream = try #require(names.first { StreamID(hexadecimal: $0) != nil })
        let files = try disk.list(StoreLayout.streams + "/" + stream)
        return files.filter { $0.hasSuffix(".segment") }.count
    }
}
