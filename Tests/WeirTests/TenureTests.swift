import Testing
import Weir
import WeirBase
import WeirLog
import WeirTesting

@Suite("A writer that stood still")
struct TenureTests {
    private let disk = SimulatedFileSystem(seed: 4)
    private let machine = SimulatedMachine(seed: 4)

    private func open() throws -> StoreEngine<SimulatedFileSystem> {
        try StoreEngine.open(files: disk, host: machine.host, creating: true)
    }

    @Test func `writes nothing after another one took the store, though the lock failed`() throws {
        let engine = try open()
        let writer = try SmallStream.create(in: engine)
        try SmallStream.append(to: writer)
        // As on a network file system that forgot the lock.
        try disk.removeFile("LOCK")
        let other = try open()
        let newer = try SmallStream.writer(other)
        machine.moveClock(microseconds: 30_000_000)
        let error = #expect(throws: WeirError.self) { try SmallStream.append(to: writer) }
        #expect(error?.code == .locked)
        // For good, and not only until the next second is over.
        #expect(throws: WeirError.self) { try SmallStream.append(to: writer) }
        try SmallStream.append(to: newer)
        try newer.sync()
        #expect(try SmallStream.offsets(newer.view) == [0, 1])
        try other.close()
    }

    @Test func `seals and closes nothing either`() throws {
        let engine = try open()
        let writer = try SmallStream.create(in: engine)
        try SmallStream.append(3, to: writer)
        try disk.removeFile("LOCK")
        let other = try open()
        writer.work()
        let error = #expect(throws: WeirError.self) { try engine.close() }
        #expect(error?.code == .locked)
        let newer = try SmallStream.writer(other)
        try SmallStream.append(to: newer)
        try other.close()
        let last = try open()
        #expect(last.reports.isEmpty)
        #expect(try SmallStream.offsets(try SmallStream.view(last)) == [0, 1, 2, 3])
    }

    @Test func `goes on if it is still the only one`() throws {
        let engine = try open()
        let writer = try SmallStream.create(in: engine)
        for _ in 0..<3 {
            machine.moveClock(microseconds: 30_000_000)
            try SmallStream.append(to: writer)
        }
        #expect(writer.nextOffset == Offset(3))
        try engine.close()
    }
}
