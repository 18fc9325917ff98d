import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

@Suite("A stream that asks for no sync")
struct RollTests {
    private let disk = SimulatedFileSystem(seed: 5)
    private let machine = SimulatedMachine(seed: 5)

    private func open(_ disk: SimulatedFileSystem) throws -> StoreEngine<SimulatedFileSystem> {
        try StoreEngine.open(files: disk, host: machine.host, creating: true)
    }

    private func writer<Files: FileSystem>(
        _ engine: StoreEngine<Files>
    ) throws -> LogWriter<Files> {
        let writer = try SmallStream.create(in: engine)
        try SmallStream.append(to: writer)
        return writer
    }

    private func offsets<Files: FileSystem>(_ engine: StoreEngine<Files>) throws -> [UInt64] {
        try SmallStream.offsets(try SmallStream.view(engine))
    }

    private func refuseManifests(_ files: FaultyFileSystem<SimulatedFileSystem>) {
        files.follow { operation, path in
            operation == .write && path.hasSuffix("MANIFEST") ? .fails(.noSpace) : nil
        }
    }

    @Test func `goes on in a new segment without one`() throws {
        let engine = try open(disk)
        let writer = try writer(engine)
        let syncs = disk.syncCount
        try SmallStream.append(7, to: writer)
        #expect(writer.view.segments.count > 2)
        #expect(disk.syncCount == syncs)
        #expect(try offsets(engine) == Array(0..<8))
    }

    @Test func `lists its segments when the work is done, and knows them durable`() throws {
        let engine = try open(disk)
        let writer = try writer(engine)
        try SmallStream.append(6, to: writer)
        #expect(writer.hasWork)
        writer.work()
        #expect(!writer.hasWork)
        let sealed = writer.view.segments.dropLast()
        #expect(sealed.allSatisfy { $0.sealed != nil })
        try SmallStream.append(to: writer)
        #expect(writer.durableEnd == writer.view.segments.last?.base)
    }

    @Test func `leaves no more segments unsealed than the limit`() throws {
        let engine = try open(disk)
        let writer = try writer(engine)
        let syncs = disk.syncCount
        try SmallStream.append(30, to: writer)
        #expect(disk.syncCount > syncs)
        #expect(writer.view.segments.count { $0.sealed == nil } <= Limits.rollsMax + 1)
    }

    @Test func `shows segments that are not listed yet to a reader in another process`() throws {
        let engine = try open(disk)
        let writer = try writer(engine)
        let early = try StoreEngine.openReadOnly(files: disk, host: machine.host)
        try SmallStream.append(7, to: writer)
        let late = try StoreEngine.openReadOnly(files: disk, host: machine.host)
        #expect(try offsets(late) == Array(0..<8))
        try early.refresh(try #require(early.stream(try StreamName("s"))))
        #expect(try offsets(early) == Array(0..<8))
    }

    @Test(arguments: [true, false])
    func `keeps unlisted segments when its process dies`(readOnly: Bool) throws {
        let writer = try writer(try open(disk))
        try SmallStream.append(7, to: writer)
        let left = disk.afterKill()
        let engine =
            readOnly
            ? try StoreEngine.openReadOnly(files: left, host: machine.host) : try open(left)
        #expect(try offsets(engine) == Array(0..<8))
        #expect(engine.reports.isEmpty)
    }

    @Test func `is refused, not cut short, while an unlisted segment cannot be looked at`() throws {
        let writer = try writer(try open(disk))
        try SmallStream.append(3, to: writer)
        let unlisted = try #require(writer.view.segments.last?.path)
        let files = FaultyFileSystem(disk.afterKill()) { operation, path in
            operation == .open(.readWrite) && path == unlisted ? .fails(.exhausted) : nil
        }
        let first = try StoreEngine.open(files: files, host: machine.host, creating: true)
        #expect(first.reports.map(\.kind) == [.unreadableStream])
        try first.close()
        files.follow { _, _ in nil }
        let second = try StoreEngine.open(files: files, host: machine.host, creating: true)
        #expect(second.reports.isEmpty)
        #expect(try offsets(second) == [0, 1, 2, 3])
    }

    @Test func `leaves a segment of another epoch alone, and reports it`() throws {
        let engine = try open(disk)
        _ = try writer(engine)
        let stream = try #require(engine.stream(try StreamName("s")))
        let path = try #require(stream.view.segments.first?.path)
        let id = SegmentID(77)
        let header = SegmentHeader(
            segmentID: id, streamID: stream.id, epoch: Epoch(9), base: Offset(1),
            creationTime: .distantPast, logStart: .zero, name: stream.name,
            configuration: stream.configuration)
        let strange = StoreLayout.segment(stream.id, id, base: Offset(1))
        let file = try disk.open(strange, .createExclusive)
        let body = try disk.read(try disk.open(path, .read), at: FilePosition(4096), byteCount: 999)
        try disk.writeAll(file, header.encode() + body, at: .zero)
        let again = try open(disk.afterKill())
        #expect(again.reports.map(\.kind) == [.unknownFile])
        #expect(try offsets(again) == [0])
    }

    @Test func `asks for a sync before a batch that needs one, when the disk is full`() throws {
        let files = FaultyFileSystem(SimulatedFileSystem(seed: 6))
        let engine = try StoreEngine.open(files: files, host: machine.host, creating: true)
        let writer = try writer(engine)
        try SmallStream.append(3, to: writer)
        refuseManifests(files)
        var builder = BatchBuilder(byteLimit: 4 << 10)
        let added = builder.append(value: [7].span.bytes)
        #expect(added)
        let before = writer.nextOffset
        let error = #expect(throws: WeirError.self) {
            try writer.append(&builder, needsSync: true)
        }
        #expect(error?.code == .noSpace)
        #expect(writer.nextOffset == before)
        files.follow { _, _ in nil }
        #expect(try writer.append(&builder, needsSync: true) == before)
        try writer.sync()
        #expect(writer.durableEnd == before + 1)
        try engine.close()
    }

    @Test func `is no reason to fail a batch before it that waits for its sync`() throws {
        let files = FaultyFileSystem(SimulatedFileSystem(seed: 6))
        let engine = try StoreEngine.open(files: files, host: machine.host, creating: true)
        let writer = try writer(engine)
        try SmallStream.append(to: writer, needsSync: true)
        refuseManifests(files)
        // The second of the same group rolls, and finds no room for that.
        let error = #expect(throws: WeirError.self) {
            try SmallStream.append(to: writer, needsSync: true)
        }
        #expect(error?.code == .noSpace)
        try writer.sync()
        #expect(writer.durableEnd == Offset(2))
        #expect(writer.view.durableEnd == Offset(2))
        #expect(files.hits > 0)
    }

    @Test func `is given up with its stream, and nothing is durable in it any more`() throws {
        let files = FaultyFileSystem(SimulatedFileSystem(seed: 6))
        let engine = try StoreEngine.open(files: files, host: machine.host, creating: true)
        let writer = try writer(engine)
        try SmallStream.append(3, to: writer)
        refuseManifests(files)
        #expect(throws: WeirError.self) { try engine.delete(try StreamName("s")) }
        files.follow { _, _ in nil }
        // It is there, and takes nothing until the store is opened again.
        let error = #expect(throws: WeirError.self) {
            try SmallStream.append(to: try SmallStream.writer(engine), needsSync: true)
        }
        #expect(error?.code == .closed)
    }

    @Test func `takes nothing more after the sync of a segment that it left failed`() throws {
        let files = FaultyFileSystem(SimulatedFileSystem(seed: 6))
        let engine = try StoreEngine.open(files: files, host: machine.host, creating: true)
        let writer = try writer(engine)
        try SmallStream.append(3, to: writer)
        files.follow { operation, _ in operation == .sync ? .fails(.system) : nil }
        writer.work()
        #expect(files.hits == 1)
        files.follow { _, _ in nil }
        let error = #expect(throws: WeirError.self) { try SmallStream.append(to: writer) }
        #expect(error?.code == .poisoned)
        writer.work()
        #expect(files.hits == 1)
    }
}
