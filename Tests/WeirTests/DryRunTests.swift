import Testing
import Weir
import WeirBase
import WeirLog
import WeirTesting

@Suite("A dry run of a compaction")
struct DryRunTests {
    /// Several segments of both kinds, some of them superseded in part.
    private func filled(
        seed: UInt64
    ) throws -> (CompactedStream, SimulatedFileSystem, CompactedStream.Engine) {
        var random = SeededRandom(seed: seed)
        let disk = SimulatedFileSystem(seed: seed)
        var stream = CompactedStream(machine: SimulatedMachine(seed: seed))
        if seed % 2 == 0 { stream.segmentBytes = 64 << 10 }
        let engine = try stream.open(disk)
        let writer = try stream.writer(engine)
        for _ in 0...random.below(30) {
            try stream.append(&random, to: writer)
            if random.oneIn(5) { try writer.sealActive() }
        }
        try writer.sealActive()
        return (stream, disk, engine)
    }

    @Test(arguments: 0..<UInt64(24), [true, false])
    func `tells what the compaction then does`(seed: UInt64, takesAll: Bool) throws {
        let (stream, disk, engine) = try filled(seed: seed)
        let writer = try stream.writer(engine)
        let before = try stream.check(engine)
        let told = try stream.compact(writer, on: disk, takesAll: takesAll, isDryRun: true)
        #expect(try stream.check(engine) == before)
        let done = try stream.compact(writer, on: disk, takesAll: takesAll)
        #expect(told.isDryRun && !done.isDryRun)
        #expect(told.segmentsAfter == done.segmentsAfter)
        #expect(told.segmentsRewritten == done.segmentsRewritten)
        #expect(told.recordsRemoved == done.recordsRemoved)
        #expect(told.tombstonesRemoved == done.tombstonesRemoved)
        #expect(told.keys == done.keys && told.recordsBefore == done.recordsBefore)
    }
}
