import Testing
import WeirBase
import WeirCompaction
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

@testable import Weir

@Suite("A backup of a compacted stream")
struct BackupCompactionTests {
    private let trial = SimulatedBackup(seed: 11)

    /// A store of many sealed segments, all of it durable.
    private func filled() throws -> (CompactedStream, SimulatedBackup.Engine) {
        var random = SeededRandom(seed: 12)
        var stream = CompactedStream(machine: trial.machine)
        let engine = try stream.open(trial.source)
        let writer = try stream.writer(engine, .lz4)
        for _ in 0..<120 { try stream.append(&random, to: writer) }
        try stream.sync(writer)
        writer.work()
        return (stream, engine)
    }

    @Test func `begins anew where segments are replaced under it, and misses nothing`() throws {
        let (stream, engine) = try filled()
        let writer = try stream.writer(engine)
        let before = writer.view.segments.count
        var pending = true
        var failure: (any Error)?
        let report = try BackupRun.run(
            source: trial.source, target: trial.target, host: trial.machine.host, options: .init()
        ) { _, _ in
            guard pending else { return true }
            pending = false
            do {
                try stream.compact(writer, on: trial.source)
            } catch {
                failure = error
            }
            return true
        }
        #expect(failure == nil)
        #expect(writer.view.segments.count < before)
        #expect(report.damage.isEmpty)
        // What was copied and then replaced is not in the snapshot, and was swept.
        #expect(report.snapshot.segmentCount <= writer.view.segments.count)
        #expect(report.segmentsRemoved > 0)
        let restored = try trial.restore(report.snapshot.name)
        #expect(restored.report.damage.isEmpty)
        _ = try stream.check(restored.engine)
        try engine.close()
    }

    @Test func `is restored where what a trim let go of cannot be counted`() throws {
        let (stream, engine) = try filled()
        let writer = try stream.writer(engine)
        try stream.compact(writer, on: trial.source)
        // Within a batch of a segment that has holes: its records are counted one by one.
        let segment = try #require(
            writer.view.segments.first { segment in
                segment.sealed.map { Int($0.recordCount) < $0.endOffset - segment.base } ?? false
            })
        var cursor = LogCursor(view: writer.view, at: segment.base)
        var goal = segment.base
        while goal == segment.base, case .batch(let header) = try cursor.next() {
            if header.offsetSpan > 1 { goal = header.firstOffset + 1 }
        }
        let plan = RetentionPlan(
            writer.manifest.state.segments, before: goal, start: writer.view.logStart)
        try Retirement(writer, leftovers: Leftovers(files: trial.source)).perform(plan)
        try engine.close()
        let name = try trial.backup().snapshot.name
        let restored = FaultyFileSystem(SimulatedFileSystem(seed: 99)) { operation, place in
            operation == .map && place == segment.path ? .fails(.damaged) : nil
        }
        let snapshot = try BackupDirectory(reading: trial.target).read(name)
        let report = try RestoreRun.run(
            RestorePlan(snapshot, called: name, names: [], limit: nil),
            from: FaultyFileSystem(trial.target), into: restored, host: trial.machine.host,
            progress: { _, _ in true }, publish: { () throws(WeirError) in })
        #expect(restored.hits > 0)
        #expect(report.recordCount > 0)
    }

    @Test func `is restored to any offset, its holes as well`() throws {
        let (stream, engine) = try filled()
        try stream.compact(try stream.writer(engine), on: trial.source)
        let all = try stream.check(engine).keys.sorted()
        let name = try trial.backup().snapshot.name
        let end = stream.durableEnd
        for limit in 1...end {
            let options = RestoreOptions(streams: ["s"], end: .offset(Offset(limit)))
            let restored = try trial.restore(name, options)
            let view = try SmallStream.view(restored.engine)
            #expect(restored.report.damage.isEmpty, "\(limit)")
            #expect(try offsets(view) == all.filter { $0 < limit }, "\(limit)")
            #expect(view.visibleEnd <= Offset(limit), "\(limit)")
        }
        try engine.close()
    }

    private func offsets(_ view: LogView<SimulatedFileSystem>) throws -> [UInt64] {
        var cursor = LogCursor(view: view, at: .zero)
        var found: [UInt64] = []
        while true {
            switch try cursor.next() {
            case .batch:
                var records = cursor.records
                while let record = records.next() { found.append(record.offset.value) }
            case .gap(let gap): throw CompactedStream.Broken(description: "gap: \(gap)")
            case .end, .held: return found
            }
        }
    }
}
