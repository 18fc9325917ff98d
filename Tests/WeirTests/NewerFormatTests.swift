import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

@Suite("A store with features that may be read and not written")
struct NewerFormatTests {
    private let disk = SimulatedFileSystem(seed: 2)
    private let machine = SimulatedMachine(seed: 2)

    /// A store with one record, in one segment.
    private func makeStore(closed: Bool) throws -> ReadableSegment<SimulatedFileSystem> {
        let engine = try StoreEngine.open(files: disk, host: machine.host, creating: true)
        let writer = try SmallStream.create(in: engine)
        try SmallStream.append(to: writer)
        try writer.sync()
        let segment = try #require(writer.view.segments.last)
        if closed { try engine.close() }
        return segment
    }

    private func expectReadable(_ disk: SimulatedFileSystem) throws {
        let reader = try StoreEngine.openReadOnly(files: disk, host: machine.host)
        #expect(try SmallStream.offsets(try SmallStream.view(reader)) == [0])
    }

    @Test func `is opened for reading only`() throws {
        _ = try makeStore(closed: true)
        let file = try disk.open(StoreLayout.header, .read)
        let bytes = try disk.read(file, at: .zero, byteCount: StoreHeader.Field.end)
        var header = try StoreHeader.decode(bytes)
        header.roCompat = 4
        try disk.spoil(StoreLayout.header, at: 0, with: header.encode())
        let error = #expect(throws: WeirError.self) {
            try StoreEngine.open(files: disk, host: machine.host, creating: true)
        }
        #expect(error?.code == .newerFormat)
        try expectReadable(disk)
    }

    @Test(arguments: [true, false])
    func `in a segment keeps the writer from that stream`(closed: Bool) throws {
        let segment = try makeStore(closed: closed)
        let file = try disk.open(segment.path, .read)
        let bytes = try disk.read(file, at: .zero, byteCount: SegmentHeader.alignment)
        var header = try SegmentHeader.decode(bytes).header
        header.roCompat = 4
        try disk.spoil(segment.path, at: 0, with: header.encode())
        let left = disk.afterKill()
        try expectReadable(left)
        let engine = try StoreEngine.open(files: left, host: machine.host, creating: true)
        #expect(engine.reports.map(\.kind) == [.unreadableStream])
        #expect(engine.streams.isEmpty)
        let error = #expect(throws: WeirError.self) {
            try engine.create(try StreamName("s"), StreamConfiguration())
        }
        #expect(error?.code == .newerFormat)
    }
}
