import Testing
import Weir
import WeirBase
import WeirFormat

@Suite("The check of a batch's records")
struct RecordCheckTests {
    /// A batch of a plain value, a keyed one with a time, and a tombstone.
    private func makeBatch() throws -> (header: BatchHeader, body: [UInt8]) {
        var batch = Batch(byteLimit: 4096)
        let added = [
            try batch.append(key: nil, value: bytes("plain")),
            try batch.append(
                key: bytes("k"), headers: [:], time: Timestamp(microseconds: 7),
                value: bytes("keyed")),
            try batch.append(key: bytes("k"), headers: [:], time: nil, value: nil),
        ]
        #expect(added == [true, true, true])
        var scratch = ScratchMemory()
        let sealed = batch.builder.seal(
            BatchSeal(
                place: BatchPlace(segment: SegmentID(1), position: .zero), firstOffset: Offset(5),
                epoch: Epoch(1), durableEnd: .zero, appendTime: Timestamp(microseconds: 9)),
            compression: .off, scratch: &scratch)
        let all = Array(sealed.bytes)
        let start = sealed.header.bodyStart
        return (sealed.header, Array(all[start..<start + sealed.header.bodyLength]))
    }

    private func defect(_ header: BatchHeader, _ body: [UInt8], table: [UInt8] = []) -> String? {
        let walker = RecordWalker(
            body: body.span.bytes, table: table.span.bytes, firstOffset: header.firstOffset)
        return RecordCheck(walker, hasTable: !table.isEmpty).defect(of: header, entryCount: nil)
    }

    @Test func `finds a good batch good`() throws {
        let (header, body) = try makeBatch()
        #expect(defect(header, body) == nil)
    }

    struct Lie: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let change: @Sendable (inout BatchHeader) -> Void
    }

    static let lies = [
        Lie(testDescription: "records") { $0.recordCount += 1 },
        Lie(testDescription: "entries") { $0.entryCount -= 1 },
        Lie(testDescription: "keys") { $0.keyedCount -= 1 },
        Lie(testDescription: "tombstones") { $0.tombstoneCount += 1 },
        Lie(testDescription: "record times") { $0.minRecordTime.microseconds -= 1 },
        Lie(testDescription: "ends before") { $0.offsetSpan = 2 },
    ]

    @Test(arguments: lies) func `tells what the header says wrongly`(_ lie: Lie) throws {
        var (header, body) = try makeBatch()
        lie.change(&header)
        #expect(try #require(defect(header, body)).contains(lie.testDescription))
    }

    @Test func `finds a length that leads beyond the body`() throws {
        var (header, body) = try makeBatch()
        body[3] += 1
        #expect(try #require(defect(header, body)).contains("do not fill"))
        header.recordCount = 0
        #expect(defect(header, body) != nil)
    }

    @Test func `takes offsets from the table of a compacted batch, and has them rise`() throws {
        var (header, body) = try makeBatch()
        header.offsetSpan = 10
        #expect(defect(header, body, table: [0, 0, 0, 0, 4, 0, 0, 0, 9, 0, 0, 0]) == nil)
        let fallen = defect(header, body, table: [4, 0, 0, 0, 4, 0, 0, 0, 9, 0, 0, 0])
        #expect(fallen == "the offsets in a batch do not rise")
    }
}
