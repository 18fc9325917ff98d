import Testing
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

@testable import Weir

@Suite("A backup")
struct BackupTests {
    private let trial = SimulatedBackup(seed: 3)

    private func append(_ count: Int, to writer: LogWriter<SimulatedFileSystem>) throws {
        try SmallStream.append(count, to: writer)
        try writer.sync()
    }

    private func segmentFiles() throws -> [String] {
        try trial.target.list(StoreLayout.streams).flatMap { directory in
            try trial.target.list(StoreLayout.streams + "/" + directory)
        }
    }

    @Test func `of a closed store holds every record`() throws {
        let engine = try trial.open()
        try SmallStream.append(15, to: try SmallStream.create(in: engine))
        try engine.close()
        let report = try trial.backup()
        #expect(try trial.offsets(report.snapshot.name) == Array(0..<15))
        #expect(report.damage.isEmpty)
    }

    @Test func `beside a writer holds what is durable, and nothing more`() throws {
        let engine = try trial.open()
        let writer = try SmallStream.create(in: engine)
        try SmallStream.append(6, to: writer)
        try append(1, to: writer)
        try SmallStream.append(4, to: writer)
        let durableEnd = writer.durableEnd.value
        let report = try trial.backup()
        #expect(durableEnd >= 7 && durableEnd < 11)
        #expect(try trial.offsets(report.snapshot.name) == Array(0..<durableEnd))
        try engine.close()
    }

    @Test func `leaves the store as it is`() throws {
        let engine = try trial.open()
        try SmallStream.append(5, to: try SmallStream.create(in: engine))
        try engine.close()
        let names = try trial.source.list("")
        let header = try StoreDirectory.readHeader(files: trial.source)
        try trial.backup()
        #expect(try trial.source.list("") == names)
        #expect(try StoreDirectory.readHeader(files: trial.source) == header)
    }

    @Test func `writes what is new, once`() throws {
        let engine = try trial.open()
        let writer = try SmallStream.create(in: engine, durability: .durable)
        try append(20, to: writer)
        let first = try trial.backup()
        try append(1, to: writer)
        let second = try trial.backup()
        let third = try trial.backup()
        // A batch, and the header of the segment that it begins.
        #expect(second.bytesWritten - third.bytesWritten < 8 << 10)
        #expect(third.bytesKept == third.snapshot.bytes)
        #expect(first.bytesKept == 0)
        for (report, count) in [(first, 20), (second, 21), (third, 21)] {
            #expect(try trial.offsets(report.snapshot.name) == Array(0..<UInt64(count)))
        }
        try engine.close()
    }

    @Test func `goes on where a segment was not sealed yet, and adds its end and footer`() throws {
        let engine = try trial.open()
        let writer = try SmallStream.create(in: engine, durability: .durable)
        try append(1, to: writer)
        let first = try trial.backup()
        let files = try segmentFiles()
        try append(7, to: writer)
        writer.work()
        let second = try trial.backup()
        #expect(try segmentFiles().filter(files.contains) == files)
        #expect(try trial.offsets(first.snapshot.name) == [0])
        #expect(try trial.offsets(second.snapshot.name) == Array(0..<8))
        try engine.close()
    }

    @Test func `of a growth of a hundredth writes at most a fiftieth of a full one`() throws {
        let engine = try trial.open()
        let writer = try SmallStream.create(in: engine, durability: .durable)
        try append(400, to: writer)
        writer.work()
        let full = try trial.backup()
        try append(4, to: writer)
        let grown = try trial.backup()
        // The snapshot itself has an entry a segment, and segments are of 8 KiB here, not 256 MiB:
        // what it takes is set aside, as the same backup without growth writes it.
        let fixed = try trial.backup().bytesWritten
        #expect((grown.bytesWritten - fixed) * 50 <= full.bytesWritten)
        try engine.close()
    }

    @Test func `keeps as many snapshots as it is told, and the files that they name`() throws {
        let engine = try trial.open()
        let writer = try SmallStream.create(in: engine)
        for _ in 0..<4 {
            try append(3, to: writer)
            try trial.backup()
        }
        try engine.delete(try StreamName("s"))
        _ = try SmallStream.create(in: engine)
        let report = try trial.backup(.init(keep: 2))
        #expect(report.snapshotsRemoved == 3)
        #expect(try trial.snapshots().count == 2)
        #expect(report.segmentsRemoved == 0)
        let last = try trial.backup(.init(keep: 1))
        #expect(last.segmentsRemoved > 0)
        #expect(try segmentFiles().isEmpty)
        #expect(try trial.offsets(last.snapshot.name).isEmpty)
        try engine.close()
    }

    @Test func `removes nothing while a snapshot cannot be read`() throws {
        let engine = try trial.open()
        try append(3, to: try SmallStream.create(in: engine))
        let first = try trial.backup()
        try trial.target.spoil(
            BackupLayout.snapshot(first.snapshot.name), at: 40, with: [0xFF, 0xFF])
        let report = try trial.backup(.init(keep: 1))
        #expect(report.snapshotsRemoved == 0)
        #expect(try trial.snapshots().map { $0.trouble == nil } == [false, true])
        try engine.close()
    }

    @Test func `tells of a damaged batch and copies it as it is`() throws {
        let engine = try trial.open()
        try append(3, to: try SmallStream.create(in: engine))
        try engine.close()
        let path = try #require(SmallStream.view(try reader()).segments.first?.path)
        try trial.source.spoil(path, at: 4096 + 500, with: [7, 7, 7])
        let report = try trial.backup()
        let damage = try #require(report.damage.first)
        #expect(damage.kind == .damagedBatches && damage.stream == "s" && damage.path == path)
        #expect(damage.offsets == 0..<1 && damage.bytes?.lowerBound == 4096)
        #expect(try trial.offsets(report.snapshot.name) == [1, 2])
    }

    private func reader() throws -> SimulatedBackup.Engine {
        try StoreEngine.openReadOnly(files: trial.source, host: trial.machine.host)
    }

    @Test func `of another store is refused where there are some of one`() throws {
        try trial.open().close()
        try trial.backup()
        var other = SimulatedBackup(seed: 8)
        other.target = trial.target
        try other.open().close()
        #expect(code { () throws(WeirError) in try other.backup() } == .invalidArgument)
        #expect(try trial.snapshots().count == 1)
    }

    @Test func `keeps what it has of a batch that was damaged since`() throws {
        let engine = try trial.open()
        let writer = try SmallStream.create(in: engine, durability: .durable)
        try append(2, to: writer)
        try trial.backup()
        let path = try #require(SmallStream.view(try reader()).segments.first?.path)
        try trial.source.spoil(path, at: 4096 + 500, with: [7, 7, 7])
        try append(3, to: writer)
        let report = try trial.backup()
        #expect(report.damage.first?.offsets == 0..<1)
        #expect(try trial.offsets(report.snapshot.name) == Array(0..<5))
        try engine.close()
    }

    @Test func `keeps what it has of a segment that was cut since`() throws {
        let engine = try trial.open()
        try append(2, to: try SmallStream.create(in: engine, durability: .durable))
        try trial.backup()
        let path = try #require(SmallStream.view(try reader()).segments.first?.path)
        try trial.source.truncate(try trial.source.open(path, .readWrite), to: 4096)
        let report = try trial.backup()
        #expect(report.damage.first?.offsets == 0..<2)
        #expect(try trial.offsets(report.snapshot.name) == [0, 1])
    }

    @Test func `of a store that went back behind its past is refused`() throws {
        let engine = try trial.open()
        let writer = try SmallStream.create(in: engine, durability: .durable)
        try append(1, to: writer)
        try engine.close()
        // All is synced, so that it is a copy.
        var older = trial
        older.source = trial.source.afterPowerLoss(seed: 1)
        for one in [trial, older] {
            let engine = try one.open()
            try append(1, to: try SmallStream.writer(engine))
            try engine.close()
        }
        let report = try trial.backup()
        #expect(code { () throws(WeirError) in try older.backup() } == .damaged)
        #expect(try trial.snapshots().count == 1)
        #expect(try trial.offsets(report.snapshot.name) == [0, 1])
    }

    @Test func `is one at a time`() throws {
        try trial.open().close()
        let (_, lock) = try BackupDirectory.openForWriting(
            files: trial.target, host: trial.machine.host)
        #expect(code { () throws(WeirError) in try trial.backup() } == .locked)
        try trial.target.close(lock)
        try trial.backup()
    }
}

private func code(_ body: () throws(WeirError) -> Void) -> WeirError.Code? {
    do throws(WeirError) {
        try body()
        return nil
    } catch {
        return error.code
    }
}
