import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

/// What streams may be like that are as they should be, and what is said of cursors.
@Suite("Verifying streams of all kinds")
struct VerifyStreamsTests {
    private let folder = TemporaryFolder()

    @Test(arguments: [UInt64(1), 2, 3, 4])
    func `finds compacted segments healthy, and mends a footer of one`(_ seed: UInt64) throws {
        let disk = SimulatedFileSystem(seed: seed)
        let machine = SimulatedMachine(seed: seed)
        var random = SeededRandom(seed: seed)
        var stream = CompactedStream(machine: machine)
        let engine = try stream.open(disk)
        let writer = try stream.writer(engine, seed == 4 ? .lz4 : .off)
        for _ in 0..<40 { try stream.append(&random, to: writer) }
        try stream.sync(writer)
        try stream.compact(writer, on: disk)
        for _ in 0..<10 { try stream.append(&random, to: writer) }
        try stream.sync(writer)
        let live = try Store.verify(files: disk, host: machine.host, deep: true)
        #expect(live.findings.isEmpty, "\(live.findings)")
        let compacted = try #require(writer.view.segments.first { $0.generation > 0 })
        try engine.close()
        let closed = try Store.verify(files: disk, host: machine.host, deep: true)
        #expect(closed.findings.isEmpty, "\(closed.findings)")

        let file = try disk.open(compacted.path, .read)
        try disk.spoil(compacted.path, at: try disk.size(of: file) - 50, with: [1, 2, 3])
        let plan = try Store.plan(
            try Store.verify(files: disk, host: machine.host, deep: true).findings, files: disk)
        #expect(plan.steps.map(\.kind) == [.recoverStream, .writeFooter])
        _ = try Store.repair(files: disk, host: machine.host, performing: plan, deep: true)
        let mended = try Store.verify(files: disk, host: machine.host, deep: true)
        #expect(mended.findings.isEmpty, "\(mended.findings)")
        let again = try stream.open(disk)
        _ = try stream.check(again)
        try again.close()
    }

    @Test(arguments: [Compression.off, .lz4, .automatic])
    func `finds keys, headers, times and producers healthy`(_ compression: Compression)
        async throws
    {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init(compression: compression))
        let producer = try await stream.producer("p")
        for number in 0..<50 {
            try await stream.append(
                key: "key \(number)", headers: ["n": .int(Int64(number))], value: [1, 2, 3])
            try await producer.append(
                value: bytes(String(repeating: "x", count: 900)), id: UInt64(number + 1))
        }
        try await store.close()
        let report = try Store.verify(at: folder.path, deep: true)
        #expect(report.findings.isEmpty, "\(report.findings)")
        #expect(report.recordCount == 100)
    }

    @Test func `finds batches healthy that were taken in from a compacted stream`() throws {
        let other = TemporaryFolder()
        let source = try Store.openBlocking(at: other.path)
        let stream = try source.streamBlocking(
            "s", creating: .init(compaction: CompactionPolicy()))
        let writer = try stream.syncWriter()
        for round in 0..<20 {
            var batch = Batch()
            for number in 0..<10 {
                _ = try batch.append(key: bytes("k \(number * round % 7)"), value: bytes("v"))
            }
            try writer.append(&batch)
        }
        _ = try stream.compactBlocking(CompactionOptions(isNow: true))
        let target = try Store.openBlocking(at: folder.path)
        var export = try stream.exportArchive(from: .first, to: nil)
        var taking = try target.importArchive(into: nil)
        var isMore = true
        while isMore {
            switch try export.next() {
            case .bytes(let part): try taking.add(part)
            case .gap: continue
            case .end: isMore = false
            }
        }
        _ = try taking.finish()
        try source.closeBlocking()
        try target.closeBlocking()
        let report = try Store.verify(at: folder.path, deep: true)
        #expect(report.findings.isEmpty, "\(report.findings)")
        #expect(report.recordCount > 0)
    }

    @Test func `tells a torn edit of a manifest, which is no damage`() throws {
        let store = try DoctorStore.make(isClosed: false)
        let path = StoreLayout.manifest(store.id)
        let file = try store.disk.open(path, .readWrite)
        try store.disk.writeAll(
            file, [9, 9, 9], at: FilePosition(UInt64(try store.disk.size(of: file))))
        let report = try store.verify()
        #expect(report.findings.map(\.kind) == [.tornManifest])
        #expect(report.isHealthy)
    }

    @Test func `tells a slot of the file tail that does not hold, which is no damage`() throws {
        let store = try DoctorStore.make()
        try store.flip(StoreLayout.tail, at: 64 + 20)
        #expect(try store.verify().findings.map(\.kind) == [.damagedTail])
        #expect(try store.verify().isHealthy)
    }

    // MARK: cursors

    /// Appends a record to `weir.cursors` behind Weir's back.
    private func forge(_ key: [UInt8], _ value: [UInt8]) throws {
        let files = try RealFileSystem.openRoot(folder.path, creating: false)
        let engine = try StoreEngine.open(files: files, host: .system(), creating: false)
        let writer = try #require(engine.stream(CursorLog.streamName)?.writer)
        var batch = Batch()
        let isAdded = try batch.append(key: key, value: value)
        #expect(isAdded)
        _ = try writer.append(&batch.builder, needsSync: true)
        try writer.sync()
        try engine.close()
    }

    private func makeCursor() async throws -> StreamID {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init())
        for number in 0..<10 { try await stream.append(value: bytes("\(number)")) }
        try await stream.savedCursor("c").commit(upTo: Offset(3))
        let id = try #require(StreamID(hexadecimal: try stream.info().id))
        try await store.close()
        return id
    }

    private func kinds() throws -> [DamageReport.Kind] {
        try Store.verify(at: folder.path).findings.map(\.kind)
    }

    @Test func `finds a cursor good that stands in its stream`() async throws {
        _ = try await makeCursor()
        #expect(try kinds().isEmpty)
    }

    @Test func `finds a cursor's record that is none`() async throws {
        _ = try await makeCursor()
        try forge([1, 2, 3], [4])
        #expect(try kinds() == [.damagedCursor])
    }

    @Test func `finds a cursor that says nothing`() async throws {
        let id = try await makeCursor()
        try forge(CursorRecord.encode(CursorKey(stream: id, name: "c")), [1, 2])
        #expect(try kinds() == [.damagedCursor])
    }

    @Test func `tells a cursor beyond the log, and one of no stream`() async throws {
        let id = try await makeCursor()
        let commit = CursorCommit(
            position: CursorPosition(epoch: Epoch(1), offset: Offset(50)),
            time: Timestamp(microseconds: 1))
        try forge(
            CursorRecord.encode(CursorKey(stream: id, name: "far")), CursorRecord.encode(commit))
        try forge(
            CursorRecord.encode(CursorKey(stream: StreamID(7), name: "gone")),
            CursorRecord.encode(commit))
        #expect(try kinds() == [.cursorBeyondLog, .cursorOfNoStream])
        #expect(try Store.verify(at: folder.path).isHealthy)
    }
}
