import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

@Suite("The file of the next segment")
struct NextFileTests {
    private let disk = SimulatedFileSystem(seed: 12)
    private let machine = SimulatedMachine(seed: 12)

    private func open(_ disk: SimulatedFileSystem) throws -> StoreEngine<SimulatedFileSystem> {
        try StoreEngine.open(files: disk, host: machine.host, creating: true)
    }

    /// Synced so often that room ahead pays, and past three quarters of a segment.
    private func makeBusy(
        _ engine: StoreEngine<SimulatedFileSystem>
    ) throws -> LogWriter<SimulatedFileSystem> {
        let writer = try SmallStream.create(in: engine, durability: .durable)
        for _ in 0..<10 {
            try SmallStream.append(to: writer, needsSync: true)
            try writer.sync()
        }
        return writer
    }

    private func isThere(_ disk: SimulatedFileSystem) throws -> Bool {
        let stream = try #require(try disk.list(StoreLayout.streams).first)
        let names = try disk.list(StoreLayout.streams + "/" + stream)
        return names.contains(StoreLayout.nextSegmentName)
    }

    @Test func `is made beside the appends of a busy durable stream, and taken by a roll`() throws {
        let engine = try open(disk)
        let writer = try makeBusy(engine)
        #expect(writer.hasUrgentWork)
        writer.work()
        #expect(try isThere(disk))
        let count = writer.view.segments.count
        while writer.view.segments.count == count {
            try SmallStream.append(to: writer, needsSync: true)
        }
        #expect(try !isThere(disk))
        try engine.close()
        let view = try SmallStream.view(try open(disk))
        #expect(try SmallStream.offsets(view) == Array(0..<writer.nextOffset.value))
    }

    @Test func `goes when the stream is closed`() throws {
        let engine = try open(disk)
        try makeBusy(engine).work()
        try engine.close()
        #expect(try !isThere(disk))
    }

    @Test(arguments: 0..<20)
    func `that a crash left is removed, and no damage`(seed: UInt64) throws {
        let engine = try open(disk)
        try makeBusy(engine).work()
        let left = seed % 2 == 0 ? disk.afterKill() : disk.afterPowerLoss(seed: seed)
        let again = try open(left)
        #expect(try !isThere(left))
        #expect(again.reports.isEmpty)
        #expect(try SmallStream.offsets(try SmallStream.view(again)) == Array(0..<10))
    }

    @Test func `is not needed: a disk that refuses it stops nothing`() throws {
        let files = FaultyFileSystem(disk)
        let engine = try StoreEngine.open(files: files, host: machine.host, creating: true)
        let writer = try SmallStream.create(in: engine, durability: .durable)
        files.follow { operation, path in
            operation == .open(.createExclusive) && path.hasSuffix("/next") ? .fails(.noSpace) : nil
        }
        for _ in 0..<20 {
            try SmallStream.append(to: writer, needsSync: true)
            try writer.sync()
            writer.work()
        }
        #expect(files.hits > 0)
        #expect(writer.durableEnd == Offset(20))
        try engine.close()
    }
}
