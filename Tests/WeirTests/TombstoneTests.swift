import Testing
import Weir
import WeirBase
import WeirFormat
import WeirLog
import WeirTesting

@Suite("A tombstone")
struct TombstoneTests {
    /// Appends a record of each key, and leaves the segment for another.
    private func appendSegment(
        _ entries: [(keys: [String], value: String?)],
        _ stream: inout CompactedStream, _ writer: LogWriter<SimulatedFileSystem>
    ) throws {
        var batch = Batch(byteLimit: 8 << 10)
        var offset = writer.nextOffset.value
        for (keys, value) in entries {
            for key in keys {
                let (key, value) = (Array(key.utf8), value.map { Array($0.utf8) })
                #expect(try batch.append(key: key, headers: [:], time: nil, value: value))
                stream.appended[offset] = .init(key: key, value: value)
                offset += 1
            }
        }
        _ = try writer.append(&batch.builder, needsSync: false)
        try stream.sync(writer)
        try writer.sealActive()
    }

    @Test func `goes if it hides nothing, whatever else stays`() throws {
        let disk = SimulatedFileSystem(seed: 1)
        var stream = CompactedStream(machine: SimulatedMachine(seed: 1))
        let engine = try stream.open(disk)
        let writer = try stream.writer(engine)
        try appendSegment([((0..<50).map { "known \($0)" }, "1")], &stream, writer)
        let unknown = (0..<20).map { "unknown \($0)" }
        try appendSegment([(unknown + ["known 1"], nil), (["known 0"], "2")], &stream, writer)
        try appendSegment([(["the last"], "1")], &stream, writer)
        // Of the first segment too little is superseded.
        let report = try stream.compact(writer, on: disk, takesAll: false)
        #expect(report.segmentsRewritten == 1 && report.tombstonesRemoved == 20)
        let left = try stream.check(engine).values.filter { $0.value == nil }
        #expect(left.map(\.key) == [Array("known 1".utf8)])
    }

    @Test func `goes with all that it hides`() throws {
        let disk = SimulatedFileSystem(seed: 2)
        var stream = CompactedStream(machine: SimulatedMachine(seed: 2))
        let engine = try stream.open(disk)
        let writer = try stream.writer(engine)
        let keys = (0..<20).map { "key \($0)" }
        try appendSegment([(keys, "1")], &stream, writer)
        try appendSegment([(keys, nil)], &stream, writer)
        try appendSegment([(["the last"], "1")], &stream, writer)
        try stream.compact(writer, on: disk, takesAll: false)
        #expect(try stream.check(engine).values.allSatisfy { $0.value != nil })
    }
}
