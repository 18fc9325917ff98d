import Foundation
import Testing
import Weir
import WeirBase
import WeirFormat
import WeirLog
import WeirRecovery
import WeirTesting

/// Offsets at a log's end whose records compaction took are given out by no copy of it.
@Suite("A stream whose last offsets have no record")
struct SkippedOffsetsTests {
    private let folder = TemporaryFolder()
    private let source: Store
    private let stream: LogStream
    private let configuration = StreamConfiguration(
        compaction: CompactionPolicy(tombstoneSecondsMin: 0))

    init() throws {
        source = try Store.openBlocking(at: folder.path, .createOrWrite)
        stream = try source.streamBlocking("s", creating: configuration)
        try fill(keeping: 20, removing: 10)
    }

    private var targetPath: String { folder.path + "-target" }

    /// Records that stay, and behind them pairs of a record and its tombstone, which go.
    private func fill(keeping kept: Int, removing removed: Int) throws {
        let writer = try stream.syncWriter()
        for _ in 0..<kept { try writer.append(key: bytes("\(stream.endOffset)"), value: [1]) }
        for number in 0..<removed {
            try writer.append(key: bytes("k\(number)"), value: [2])
            try writer.append(key: bytes("k\(number)"), value: nil)
        }
        _ = try stream.compactBlocking(CompactionOptions(isNow: true))
    }

    private func bring(
        into store: Store, from start: Offset? = nil, upTo end: Offset? = nil
    ) throws -> ImportOutcome {
        var export = try stream.exportArchive(from: start.map { .offset($0) } ?? .first, to: end)
        var target = try store.importArchive(into: "copy")
        while true {
            switch try export.next() {
            case .bytes(let bytes): try target.add(bytes)
            case .gap(let gap): Issue.record("\(gap)")
            case .end: return try target.finish()
            }
        }
    }

    private func withTarget<Value>(_ body: (Store, LogStream) throws -> Value) throws -> Value {
        let store = try Store.openBlocking(at: targetPath, .createOrWrite)
        let copy = try store.streamBlocking("copy", creating: configuration)
        let value = try body(store, copy)
        try store.closeBlocking()
        return value
    }

    private func end() throws {
        try source.closeBlocking()
        #expect(try Store.verify(at: targetPath, deep: true).findings.isEmpty)
        TemporaryFolder.remove(targetPath)
    }

    @Test func `is copied with its end, at once and after an opening`() throws {
        #expect(stream.endOffset == 40)
        #expect(try stream.all().count == 20)
        try withTarget { store, copy in
            let outcome = try bring(into: store)
            #expect(outcome.recordCount == 20 && outcome.keepsOffsets)
            #expect(outcome.sourceEnd == 40 && copy.endOffset == 40)
            #expect(try store.importedEnd(of: stream, into: "copy") == 40)
        }
        try withTarget { store, copy throws in
            #expect(copy.endOffset == 40)
            #expect(try copy.all() == stream.all())
            #expect(try store.importedEnd(of: stream, into: "copy") == 40)
            #expect(try copy.syncWriter().append(value: [3]).offset == 40)
        }
        try end()
    }

    @Test func `is copied on with its offsets, behind its end and behind a hole`() throws {
        try withTarget { store, copy in
            _ = try bring(into: store)
            for (kept, removed) in [(0, 5), (3, 0), (0, 2), (4, 1)] {
                try fill(keeping: kept, removing: removed)
                let known = try store.importedEnd(of: stream, into: "copy")
                let outcome = try bring(into: store, from: known)
                #expect(outcome.recordCount == kept && outcome.keepsOffsets)
                #expect(copy.endOffset == stream.endOffset)
                #expect(try copy.all() == stream.all())
            }
            #expect(try bring(into: store).recordCount == 0)
            #expect(copy.endOffset == stream.endOffset)
        }
        try end()
    }

    @Test func `and none before them is copied on as well`() throws {
        let other = try source.streamBlocking("other", creating: configuration)
        let writer = try other.syncWriter()
        for _ in 0..<4 {
            try writer.append(key: bytes("k"), value: [2])
            try writer.append(key: bytes("k"), value: nil)
        }
        _ = try other.compactBlocking(CompactionOptions(isNow: true))
        try withTarget { store, _ in
            for round in 0..<2 {
                var export = try other.exportArchive()
                var target = try store.importArchive()
                while case .bytes(let bytes) = try export.next() { try target.add(bytes) }
                #expect(try target.finish().keepsOffsets)
                let copy = try store.streamBlocking("other")
                #expect(copy.endOffset == other.endOffset)
                let records = try copy.all()
                #expect(try records == other.all() && records.count == round)
                try writer.append(key: bytes("l"), value: [2])
                try writer.append(key: bytes("l"), value: nil)
                _ = try other.compactBlocking(CompactionOptions(isNow: true))
                try writer.append(key: bytes("m"), value: [2])
            }
        }
        try end()
    }

    @Test func `leaves a stream with records of its own as it is`() throws {
        try withTarget { store, copy in
            try copy.syncWriter().append(value: [9])
            let outcome = try bring(into: store)
            #expect(!outcome.keepsOffsets && copy.endOffset == 21)
            #expect(try bring(into: store).recordCount == 0)
            #expect(copy.endOffset == 21)
        }
        try end()
    }

    @Test func `is followed by readers of its copy, in other processes as well`() throws {
        try withTarget { store, copy in
            _ = try bring(into: store, upTo: 5)
            let reader = try Store.openBlocking(at: targetPath, .read)
            var own = try copy.cursor()
            var other = try reader.streamBlocking("copy").cursor()
            try expectBatches(5, &own, upTo: 5)
            try expectBatches(5, &other, upTo: 5)
            #expect(try bring(into: store).keepsOffsets)
            try copy.syncWriter().append(value: [7])
            try expectBatches(16, &own, upTo: 41)
            try expectBatches(16, &other, upTo: 41)
            try reader.closeBlocking()
        }
        try end()
    }

    private func expectBatches(_ count: Int, _ cursor: inout Cursor, upTo end: Offset) throws {
        for _ in 0..<count {
            let step = try cursor.next()
            #expect(step == .batch)
        }
        let last = try cursor.next()
        #expect(last == .end && cursor.nextOffset == end)
    }
}

@Suite("Offsets that are left out at a log's end")
struct SkippedOffsetsCrashTests {
    private let row: ProducerRow

    init() throws {
        row = ProducerRow(name: try ProducerName("p"), lastPublishingID: 7, offset: Offset(3))
    }

    private func prepared(
        seed: UInt64, sealed: Bool
    ) throws -> (CompactedStream, SimulatedFileSystem, LogWriter<SimulatedFileSystem>) {
        var random = SeededRandom(seed: seed)
        let disk = SimulatedFileSystem(seed: seed, capacity: 64 << 10)
        var stream = CompactedStream(machine: SimulatedMachine(seed: seed))
        let writer = try stream.writer(try stream.open(disk))
        for _ in 0..<6 { try stream.append(&random, to: writer) }
        try stream.sync(writer)
        if sealed { try writer.sealActive() }
        return (stream, disk, writer)
    }

    /// Every operation, done or not, and every subset of the names that were not synced.
    @Test(arguments: [(UInt64(1), false), (2, true)])
    func `are left out or are not, wherever the power fails`(seed: UInt64, sealed: Bool) throws {
        let (_, disk, writer) = try prepared(seed: seed, sealed: sealed)
        let (before, end) = (disk.operationCount, writer.nextOffset)
        let isDone = try writer.skip(from: end, to: end + 50, noting: row)
        #expect(isDone && writer.nextOffset == end + 50 && writer.durableEnd == end + 50)
        var ends: Set<Offset> = []
        for operation in 1...disk.operationCount - before {
            for takesEffect in [false, true] {
                var subset: UInt64 = 0
                var count: UInt64 = 1
                while subset < count {
                    let (stream, disk, writer) = try prepared(seed: seed, sealed: sealed)
                    disk.stop(after: operation, takingEffect: takesEffect)
                    do throws(WeirError) {
                        _ = try writer.skip(from: end, to: end + 50, noting: row)
                    } catch {
                        #expect([.machineStopped, .poisoned].contains(error.code))
                    }
                    count = 1 << UInt64(disk.unsyncedNameCount)
                    let after = disk.afterPowerLoss(
                        seed: seed &+ UInt64(operation) &* 31, keptNames: subset)
                    stream.machine.restart()
                    ends.insert(try found(stream, after, end))
                    subset += 1
                }
            }
        }
        #expect(ends == [end, end + 50])
    }

    /// Where the log ends, by two openings; it goes on there.
    private func found(
        _ stream: CompactedStream, _ disk: SimulatedFileSystem, _ end: Offset
    ) throws -> Offset {
        let first = try stream.open(disk)
        let records = try stream.check(first)
        #expect(records.count == Int(end.value))
        let disk = disk.afterKill()
        let engine = try stream.open(disk)
        #expect(try stream.check(engine) == records)
        #expect(try stream.strays(engine, on: disk) == [])
        let writer = try stream.writer(engine)
        let found = writer.nextOffset
        let isKnown = try writer.view.producers().rows.contains(row)
        #expect(isKnown == (found == end + 50))
        var (random, stream) = (SeededRandom(seed: 1), stream)
        try stream.append(&random, to: writer)
        #expect(try stream.check(engine).keys.contains(found.value))
        return found
    }

    @Test(arguments: [false, true])
    func `are not where the disk is full, and are with room`(sealed: Bool) throws {
        let (_, disk, writer) = try prepared(seed: 3, sealed: sealed)
        let before = disk.operationCount
        let start = writer.nextOffset
        _ = try writer.skip(from: start, to: start + 9, noting: row)
        let count = disk.operationCount - before
        for write in 1...count {
            let (stream, disk, writer) = try prepared(seed: 3, sealed: sealed)
            disk.failWrite(after: write)
            do throws(WeirError) {
                _ = try writer.skip(from: start, to: start + 9, noting: row)
            } catch {
                #expect(error.code == .noSpace, "write \(write): \(error)")
                #expect(writer.nextOffset == start)
            }
            let listed = Set(writer.manifest.state.segments.map(\.id))
            let directory = try StreamDirectory.list(writer.streamID, files: disk)
            #expect(listed.isSuperset(of: directory.segments.keys), "write \(write)")
            disk.failWrite(after: 1 << 40)
            _ = try writer.skip(from: start, to: start + 9, noting: row)
            #expect(writer.nextOffset == start + 9)
            try writer.close()
            let engine = try stream.open(disk.afterKill())
            _ = try stream.check(engine)
            #expect(try stream.writer(engine).nextOffset == start + 9)
        }
    }
}
