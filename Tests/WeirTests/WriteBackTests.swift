import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

@Suite("What is appended without a sync")
struct WriteBackTests {
    private let machine = SimulatedMachine(seed: 12)
    /// One that starts nothing, and counts how often it should have.
    private let files = FaultyFileSystem(
        SimulatedFileSystem(seed: 12, capacity: 4 << 20)
    ) { operation, _ in
        operation == .startWriting ? .fails(.system) : nil
    }

    /// Appends until a piece and a half are there; how often a piece was wanted.
    private func append(_ durability: Durability) throws -> Int {
        let engine = try StoreEngine.open(files: files, host: machine.host, creating: true)
        let name = try StreamName("s")
        try engine.create(
            name, StreamConfiguration(durability: durability, segmentBytes: 4 << 20))
        let writer = try #require(engine.stream(name)?.writer)
        var builder = BatchBuilder(byteLimit: 64 << 10)
        let value = [UInt8](repeating: 1, count: 50_000)
        var wanted = 0
        for _ in 0..<(Limits.writeBackBytes * 3 / 2 / value.count) {
            let added = builder.append(value: value.span.bytes)
            #expect(added)
            _ = try writer.append(&builder, needsSync: durability == .durable)
            builder.removeAll()
            if writer.hasUrgentWork {
                wanted += 1
                writer.work()
            }
        }
        try engine.close()
        return wanted
    }

    @Test(arguments: [Durability.flushed, .interval(milliseconds: 1000)])
    func `is sent to the medium in pieces, once each`(durability: Durability) throws {
        #expect(try append(durability) == 1)
        #expect(files.hits == 1)
    }

    @Test func `is not what waits for a sync: that is sent by the sync`() throws {
        #expect(try append(.durable) == 0)
        #expect(files.hits == 0)
    }
}
