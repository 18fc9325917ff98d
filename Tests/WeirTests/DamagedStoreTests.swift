import Foundation
import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

@Suite("Damage in one place of a store")
struct DamagedStoreTests {
    private let disk = SimulatedFileSystem(seed: 9)
    private let machine = SimulatedMachine(seed: 9)

    private func open(_ disk: SimulatedFileSystem) throws -> StoreEngine<SimulatedFileSystem> {
        try StoreEngine.open(files: disk, host: machine.host, creating: true)
    }

    /// A stream with three records, and its writer killed.
    private func makeKilled() throws -> (disk: SimulatedFileSystem, id: StreamID) {
        let engine = try open(disk)
        let writer = try SmallStream.create(in: engine, durability: .durable)
        try SmallStream.append(1, to: writer, needsSync: true)
        try writer.sync()
        let stream = try #require(engine.streams.first)
        return (disk.afterKill(), stream.id)
    }

    @Test func `is a bit of the manifest's last edit: the segment it listed is found`() throws {
        let (disk, id) = try makeKilled()
        let path = StoreLayout.manifest(id)
        let file = try disk.open(path, .read)
        let size = try disk.size(of: file)
        var byte = try disk.read(file, at: FilePosition(UInt64(size - 20)), byteCount: 1)
        byte[0] ^= 1
        try disk.spoil(path, at: size - 20, with: byte)
        let engine = try open(disk)
        #expect(try SmallStream.offsets(try SmallStream.view(engine)) == [0])
        #expect(try SmallStream.writer(engine).nextOffset == Offset(1))
    }

    @Test func `is a lost segment: its offsets are never given again, slot or no slot`() throws {
        let (disk, id) = try makeKilled()
        let folder = StoreLayout.stream(id)
        let name = try #require(try disk.list(folder).first { $0.hasSuffix(".segment") })
        try disk.removeFile(folder + "/" + name)
        let first = try open(disk)
        #expect(first.reports.map(\.kind) == [.missingSegment])
        let left = disk.afterKill()
        try left.removeFile(StoreLayout.tail)
        let engine = try open(left)
        #expect(try SmallStream.writer(engine).nextOffset == Offset(1))
    }

    @Test func `is a copied directory: it is set aside, and the stream is there`() throws {
        let (disk, id) = try makeKilled()
        let copy = StreamID(0xFF)
        try disk.createDirectory(StoreLayout.stream(copy))
        for name in try disk.list(StoreLayout.stream(id)) {
            let source = try disk.open(StoreLayout.stream(id) + "/" + name, .read)
            let bytes = try disk.read(source, at: .zero, byteCount: try disk.size(of: source))
            let target = try disk.open(StoreLayout.stream(copy) + "/" + name, .createExclusive)
            try disk.writeAll(target, bytes, at: .zero)
        }
        for engine in [
            try StoreEngine.openReadOnly(files: disk, host: machine.host), try open(disk),
        ] {
            #expect(engine.reports.map(\.kind) == [.copiedStream])
            #expect(try SmallStream.offsets(try SmallStream.view(engine)) == [0])
        }
    }

    @Test func `is a stream that cannot be read: the others are, and it can be deleted`() throws {
        let files = FaultyFileSystem(disk)
        var engine = try StoreEngine.open(files: files, host: machine.host, creating: true)
        let bad = try SmallStream.create(in: engine)
        try SmallStream.append(to: bad)
        let path = try #require(bad.view.segments.first?.path)
        let other = try StreamName("other")
        try engine.create(other, StreamConfiguration())
        try engine.close()
        files.follow { operation, found in
            operation == .open(.readWrite) && found == path ? .fails(.permissionDenied) : nil
        }
        engine = try StoreEngine.open(files: files, host: machine.host, creating: true)
        #expect(engine.stream(other) != nil)
        #expect(engine.stream(try StreamName("s")) == nil)
        #expect(engine.reports.map(\.kind) == [.unreadableStream])
        try engine.delete(try StreamName("s"))
        try engine.close()
        files.follow { _, _ in nil }
        let again = try StoreEngine.open(files: files, host: machine.host, creating: true)
        #expect(again.reports.isEmpty)
        #expect(again.streams.map(\.name) == [other])
    }

    @Test func `is the file WEIR: it is written anew, and that is said`() throws {
        let (disk, _) = try makeKilled()
        try disk.removeFile(StoreLayout.header)
        let engine = try open(disk)
        #expect(engine.reports.map(\.kind) == [.missingStoreHeader])
        #expect(try SmallStream.offsets(try SmallStream.view(engine)) == [0])
    }

    @Test func `is a batch at the end: it is told once`() throws {
        let (disk, id) = try makeKilled()
        let folder = StoreLayout.stream(id)
        let name = try #require(try disk.list(folder).first { $0.hasSuffix(".segment") })
        try disk.spoil(folder + "/" + name, at: 4096 + 200, with: [9, 9])
        let engine = try open(disk)
        #expect(engine.reports.map(\.kind) == [.damagedBatches])
        #expect(engine.reports.first?.offsets == 0..<1)
    }

    @Test func `is a missing segment: a search for a time steps over it`() throws {
        let (disk, id) = try makeKilled()
        let engine = try open(disk)
        try SmallStream.append(3, to: try SmallStream.writer(engine), needsSync: true)
        try engine.close()
        let folder = StoreLayout.stream(id)
        let names = try disk.list(folder).filter { $0.hasSuffix(".segment") }.sorted()
        try disk.removeFile(folder + "/" + names[0])
        let reader = try StoreEngine.openReadOnly(files: disk, host: machine.host)
        let view = try SmallStream.view(reader)
        #expect(try LogSearch(view).offset(of: .time(.distantPast)) == Offset(1))
        #expect(try LogSearch(view).offset(of: .appended(.distantPast)) == Offset(1))
    }
}
