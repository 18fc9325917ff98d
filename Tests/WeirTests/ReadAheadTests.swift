import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

@Suite("Reading ahead")
struct ReadAheadTests {
    /// Batches of 60,000 bytes in one segment, and as a reader with much credit touches them.
    private func touches(batches: Int) throws -> (bytes: Int, size: Int) {
        let disk = SimulatedFileSystem(seed: 3, capacity: 24 << 20)
        let machine = SimulatedMachine(seed: 3)
        let engine = try StoreEngine.open(files: disk, host: machine.host, creating: true)
        try engine.create(
            try StreamName("s"),
            StreamConfiguration(
                durability: .flushed, segmentBytes: 20 << 20, batchBytesMax: 64 << 10))
        let writer = try SmallStream.writer(engine)
        var builder = BatchBuilder(byteLimit: 64 << 10)
        let value = [UInt8](repeating: 1, count: 60_000)
        for _ in 0..<batches {
            let added = builder.append(value: value.span.bytes)
            #expect(added)
            _ = try writer.append(&builder, needsSync: false)
            builder.removeAll()
        }
        _ = disk.takeTouched()
        var cursor = LogCursor(
            view: try SmallStream.view(engine), at: .zero, mode: .mapped, isExact: true)
        var count = 0
        while case .batch = try cursor.next(admitting: { _ in .read(ahead: .unlimited) }) {
            count += 1
        }
        #expect(count == batches)
        let bytes = disk.takeTouched().reduce(0) { $0 + $1.bytes.count }
        try engine.close()
        return (bytes, batches * value.count)
    }

    @Test func `brings every batch in once, however much credit there is`() throws {
        let (bytes, size) = try touches(batches: 250)
        // The headers are looked at before.
        #expect(bytes > size)
        #expect(bytes < size + size / 4)
    }
}
