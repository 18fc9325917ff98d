import Testing
import Weir
import WeirBase
import WeirFormat
import WeirLog
import WeirTesting

@Suite("A compaction that is interrupted")
struct CompactionCrashTests {
    private static let seedOfEpochs: UInt64 = 3

    /// Some sealed segments, all durable, and the engine that is about to compact them. With one
    /// seed they are of epochs that power failures ended, and small beside a segment's size.
    private func prepared(
        seed: UInt64
    ) throws -> (CompactedStream, SimulatedFileSystem, CompactedStream.Engine) {
        var random = SeededRandom(seed: seed)
        var disk = SimulatedFileSystem(seed: seed, capacity: 64 << 10)
        var stream = CompactedStream(machine: SimulatedMachine(seed: seed))
        if seed == Self.seedOfEpochs {
            disk = SimulatedFileSystem(seed: seed, capacity: 1 << 20)
            stream.segmentBytes = 128 << 10
            for _ in 0..<3 { try dieInEpoch(&random, &stream, &disk) }
        }
        let engine = try stream.open(disk)
        let writer = try stream.writer(engine, seed % 2 == 0 ? .lz4 : .off)
        for _ in 0..<14 { try stream.append(&random, to: writer) }
        try stream.sync(writer)
        try writer.sealActive()
        return (stream, disk, engine)
    }

    /// Records that are durable, and one batch that power failure may take.
    private func dieInEpoch(
        _ random: inout SeededRandom, _ stream: inout CompactedStream,
        _ disk: inout SimulatedFileSystem
    ) throws {
        let writer = try stream.writer(try stream.open(disk))
        for _ in 0..<2 { try stream.append(&random, to: writer) }
        try stream.sync(writer)
        try stream.append(&random, to: writer)
        disk = disk.afterPowerLoss(seed: random.next())
        stream.machine.restart()
        let end = try stream.writer(try stream.open(disk)).nextOffset.value
        stream.appended = stream.appended.filter { $0.key < end }
        disk = disk.afterKill()
    }

    /// How many operations a whole compaction takes.
    private func operationCount(seed: UInt64) throws -> Int {
        let (stream, disk, engine) = try prepared(seed: seed)
        let before = disk.operationCount
        let report = try stream.compact(try stream.writer(engine), on: disk)
        if seed == Self.seedOfEpochs {
            #expect(report.segmentsBefore >= 4 && report.segmentsAfter == 1)
        }
        return disk.operationCount - before
    }

    /// Every operation, done or not, and every subset of the names that were not synced.
    @Test(arguments: [UInt64(1), 2, seedOfEpochs])
    func `leaves the old or the new, wherever the power fails`(seed: UInt64) throws {
        let count = try operationCount(seed: seed)
        #expect(count > 15)
        var met = Met()
        for operation in 1...count {
            for takesEffect in [false, true] {
                var subset: UInt64 = 0
                var subsets: UInt64 = 1
                while subset < subsets {
                    subsets = try life(seed, operation, takesEffect, keptNames: subset, &met)
                    subset += 1
                }
            }
        }
        #expect(met.old + met.new > 2 * count)
        #expect(met.old > count && met.new > 10 && met.half > 5 && met.strays > 10, "\(met)")
    }

    /// What the lives came to: the old files or new ones, and what the opening removed.
    private struct Met {
        var old = 0
        var new = 0
        /// Files that had no name of their own yet, and files that had one and were not listed.
        var half = 0
        var strays = 0
    }

    /// Returns how many subsets of the unsynced names there are at this place.
    private func life(
        _ seed: UInt64, _ operation: Int, _ takesEffect: Bool, keptNames: UInt64,
        _ met: inout Met
    ) throws -> UInt64 {
        let (stream, disk, engine) = try prepared(seed: seed)
        let ends = try CompactedStream.ends(
            try writer(stream, engine).view, before: engine.epoch)
        disk.stop(after: operation, takingEffect: takesEffect)
        do throws(WeirError) {
            try stream.compact(try writer(stream, engine), on: disk)
        } catch {
            guard error.code == .machineStopped else { throw error }
        }
        let names = disk.unsyncedNameCount
        let after = disk.afterPowerLoss(
            seed: seed &+ UInt64(operation) &* 31, keptNames: keptNames)
        stream.machine.restart()
        do {
            try finish(stream, after, ends, &met)
        } catch {
            Issue.record("seed \(seed), operation \(operation), names \(keptNames): \(error)")
        }
        #expect(names <= 6, "more than every subset can be tried of")
        return 1 << UInt64(names)
    }

    private func writer(
        _ stream: CompactedStream, _ engine: CompactedStream.Engine
    ) throws(WeirError) -> LogWriter<SimulatedFileSystem> {
        guard let writer = engine.stream(CompactedStream.name)?.writer else {
            throw WeirError(.notFound, "The stream is gone.")
        }
        return writer
    }

    /// What is there is right; a second opening finds the same, and no file is left over; and the
    /// next compaction comes to the end of it.
    private func finish(
        _ stream: CompactedStream, _ disk: SimulatedFileSystem, _ ends: [Offset],
        _ met: inout Met
    ) throws {
        let left = try files(disk)
        let opened = try stream.open(disk)
        let segments = try stream.writer(opened).manifest.state.segments
        if segments.contains(where: { $0.generation > 0 }) { met.new += 1 } else { met.old += 1 }
        if left.contains(StoreLayout.compactingName) { met.half += 1 }
        if left.count(where: { $0.hasSuffix(".segment") }) > segments.count { met.strays += 1 }
        let first = try stream.check(opened)
        #expect(
            try CompactedStream.ends(
                try stream.writer(opened).view, before: Epoch(UInt64(ends.count))) == ends)
        let again = disk.afterKill()
        let engine = try stream.open(again)
        #expect(try stream.check(engine) == first)
        #expect(try stream.strays(engine, on: again) == [])
        let writer = try stream.writer(engine)
        try writer.sealActive()
        try stream.compact(writer, on: again)
        let end = writer.nextOffset.value
        #expect(Set(try stream.check(engine).keys) == stream.kept(before: end))
        #expect(try stream.strays(engine, on: again) == [])
    }

    private func files(_ disk: SimulatedFileSystem) throws -> [String] {
        let names = try disk.list(StoreLayout.streams)
        let stream = try #require(names.first { StreamID(hexadecimal: $0) != nil })
        return try disk.list(StoreLayout.streams + "/" + stream)
    }

    /// Every sync, once: what the medium has of the file is not known behind it.
    @Test(arguments: [UInt64(1), 2, seedOfEpochs], [true, false])
    func `leaves the old or the new, whichever sync fails`(seed: UInt64, isKilled: Bool) throws {
        var met = Met()
        var sync = 0
        while true {
            sync += 1
            let (stream, disk, engine) = try prepared(seed: seed)
            let writer = try writer(stream, engine)
            let ends = try CompactedStream.ends(writer.view, before: engine.epoch)
            let before = disk.syncFailures
            disk.failSync(after: sync)
            do throws(WeirError) {
                try stream.compact(writer, on: disk)
            } catch {
                #expect(error.code == .system, "sync \(sync): \(error)")
            }
            if disk.syncFailures == before { break }
            _ = try stream.check(engine)
            let after = isKilled ? disk.afterKill() : disk.afterPowerLoss(seed: UInt64(sync))
            if !isKilled { stream.machine.restart() }
            try finish(stream, after, ends, &met)
        }
        #expect(sync > 3 && met.old > 0 && met.old + met.new == sync - 1, "\(met)")
    }

    /// Every write of a compaction, of which a part is done. The reserve lends to some of them.
    @Test(arguments: [UInt64(1), 2, seedOfEpochs])
    func `leaves the log as it was where the disk is full, and is done with room`(
        seed: UInt64
    ) throws {
        var failures = 0
        for write in 1...(try operationCount(seed: seed)) {
            let (stream, disk, engine) = try prepared(seed: seed)
            let writer = try writer(stream, engine)
            let before = try stream.check(engine)
            disk.failWrite(after: write)
            do throws(WeirError) {
                try stream.compact(writer, on: disk)
            } catch {
                failures += 1
                #expect(error.code == .noSpace, "write \(write): \(error)")
                #expect(try stream.check(engine) == before, "write \(write)")
            }
            #expect(try stream.strays(engine, on: disk) == [], "write \(write)")
            disk.failWrite(after: 1 << 40)
            try stream.compact(writer, on: disk)
            let kept = stream.kept(before: writer.nextOffset.value)
            #expect(Set(try stream.check(engine).keys) == kept, "write \(write)")
            #expect(try stream.strays(engine, on: disk) == [], "write \(write)")
        }
        #expect(failures > 0)
    }

    /// Appends, compactions, restarts and crashes in any order.
    @Test(arguments: 0..<CompactionTrials.count)
    func `beside appends and failures loses nothing`(trial: Int) throws {
        for seed in CompactionTrials.seeds(of: trial) { try CompactionTrial(seed: seed).run() }
    }
}

/// How many seeded lives there are: in twenty parts, so that the report says which failed.
enum CompactionTrials {
    static let count = 20
    private static let each = 25

    static func seeds(of trial: Int) -> Range<UInt64> {
        UInt64(trial * each)..<UInt64((trial + 1) * each)
    }
}

/// One seeded life: appends, syncs, compactions, restarts, failing writes, and a crash.
struct CompactionTrial {
    let seed: UInt64

    func run() throws {
        var random = SeededRandom(seed: seed)
        var disk = SimulatedFileSystem(seed: seed &* 17, capacity: 96 << 10)
        var stream = CompactedStream(machine: SimulatedMachine(seed: seed &* 31))
        if seed % 2 == 1 { stream.segmentBytes = 64 << 10 }
        for _ in 0..<4 {
            if random.oneIn(6) { disk.failWrite(after: 1 + random.below(60)) }
            disk.stop(after: 20 + random.below(400))
            try live(&random, &stream, disk)
            disk = random.oneIn(3) ? disk.afterKill() : powerLoss(&random, stream, disk)
            let engine: CompactedStream.Engine
            do {
                engine = try stream.open(disk)
                let found = try stream.check(engine)
                // What a crash took was never durable; what is there now is.
                let end = engine.stream(CompactedStream.name)?.view.visibleEnd.value ?? 0
                stream.appended = stream.appended.filter { $0.key < end }
                stream.durableEnd = end
                _ = found
            } catch {
                throw CompactedStream.Broken(description: "seed \(seed): \(error)")
            }
            disk = disk.afterKill()
        }
    }

    private func powerLoss(
        _ random: inout SeededRandom, _ stream: CompactedStream, _ disk: SimulatedFileSystem
    ) -> SimulatedFileSystem {
        stream.machine.restart()
        return disk.afterPowerLoss(seed: random.next())
    }

    private func live(
        _ random: inout SeededRandom, _ stream: inout CompactedStream, _ disk: SimulatedFileSystem
    ) throws {
        do {
            var engine = try stream.open(disk)
            var writer = try stream.writer(engine, random.oneIn(2) ? .lz4 : .off)
            for _ in 0..<30 {
                switch random.below(10) {
                case 0: try stream.sync(writer)
                case 1: writer.work()
                case 2: try stream.compact(writer, on: disk, takesAll: random.oneIn(2))
                case 3: try writer.sealActive()
                case 5 where random.oneIn(4): try stream.skip(Int(random.below(60)), in: writer)
                case 4 where random.oneIn(3):
                    try engine.close()
                    engine = try stream.open(disk)
                    writer = try stream.writer(engine)
                default: try stream.append(&random, to: writer)
                }
            }
        } catch let error as WeirError {
            let expected: [WeirError.Code] = [.machineStopped, .noSpace, .poisoned, .system]
            guard expected.contains(error.code) else {
                throw CompactedStream.Broken(description: "seed \(seed): unexpected: \(error)")
            }
        }
    }
}
