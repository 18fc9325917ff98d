import Testing
import Weir
import WeirBase
import WeirFormat

@Suite("A row of batches")
struct BatchSequenceTests {
    private func header(_ first: UInt64, _ count: Int, epoch: UInt64 = 1) -> BatchHeader {
        var header = BatchHeader(
            kind: .records, firstOffset: Offset(first), epoch: Epoch(epoch), durableEnd: .zero,
            appendTime: Timestamp(microseconds: 1))
        header.recordCount = count
        header.offsetSpan = count
        return header
    }

    private let start = FilePosition(4096)

    @Test func `without holes has no defect`() {
        var row = BatchSequence(base: Offset(10), isCompacted: false)
        #expect(row.batch(header(10, 5), at: start).isEmpty)
        #expect(row.batch(header(15, 5), at: start).isEmpty)
        #expect(row.end(at: start, limit: (start, Offset(20))).isEmpty)
    }

    @Test func `with bytes that are none lacks what the next batch does not have`() {
        var row = BatchSequence(base: .zero, isCompacted: false)
        #expect(row.batch(header(0, 5), at: start).isEmpty)
        #expect(row.damage(5000..<6000, lost: nil).isEmpty)
        let found = row.batch(header(9, 1), at: start)
        #expect(found.map(\.kind) == [.damagedBatches])
        #expect(found.map(\.offsets) == [5..<9])
        #expect(found.map(\.bytes) == [5000..<6000])
    }

    @Test func `that ends early lacks what the seal promised`() {
        var row = BatchSequence(base: .zero, isCompacted: false)
        #expect(row.batch(header(0, 5), at: start).isEmpty)
        let found = row.end(at: start, limit: (start + 500, Offset(8)))
        #expect(found.map(\.kind) == [.damagedBatches])
        #expect(found.map(\.offsets) == [5..<8])
    }

    @Test func `with a hole and no bad byte lacks offsets, unless it was compacted`() {
        var row = BatchSequence(base: .zero, isCompacted: false)
        #expect(row.batch(header(3, 5), at: start).map(\.kind) == [.missingOffsets])
        var compacted = BatchSequence(base: .zero, isCompacted: true)
        #expect(compacted.batch(header(3, 5), at: start).isEmpty)
        #expect(compacted.end(at: start, limit: (start, Offset(20))).isEmpty)
    }

    @Test func `whose offsets or epochs go back is false`() {
        var row = BatchSequence(base: .zero, isCompacted: false)
        #expect(row.batch(header(0, 5, epoch: 2), at: start).isEmpty)
        #expect(row.batch(header(4, 5, epoch: 2), at: start).map(\.kind) == [.falseBatch])
        #expect(row.batch(header(9, 5, epoch: 1), at: start).map(\.kind) == [.falseBatch])
    }

    @Test func `tells each batch whose body does not hold by itself`() {
        var row = BatchSequence(base: .zero, isCompacted: false)
        #expect(row.damage(4096..<4200, lost: header(0, 5)).map(\.offsets) == [0..<5])
        #expect(row.damage(4200..<4300, lost: header(5, 1)).map(\.offsets) == [5..<6])
        #expect(row.batch(header(6, 1), at: start).isEmpty)
        #expect(row.hasDamage)
    }

    @Test func `of segments fits where each begins at the end of the one before`() {
        func kinds(_ segments: [(base: Offset, end: Offset?)]) -> [DamageReport.Kind] {
            BatchSequence.gaps(between: segments, logStart: .zero).map(\.defect.kind)
        }
        #expect(kinds([(0, 5), (5, nil)]).isEmpty)
        #expect(kinds([(0, 5), (6, nil)]) == [.missingOffsets])
        #expect(kinds([(0, 5), (4, nil)]) == [.overlappingSegments])
        #expect(kinds([(2, 5)]) == [.missingOffsets])
    }
}
