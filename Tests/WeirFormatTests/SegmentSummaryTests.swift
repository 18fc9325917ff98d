import Testing
import WeirBase
import WeirFormat
import WeirTesting

private struct Placed {
    var header: BatchHeader
    var position: FilePosition
}

/// A segment's batches as they might have come: append times never go back, record times do.
private func batches(seed: UInt64, count: Int) -> [Placed] {
    var random = SeededRandom(seed: seed)
    var position = FilePosition(4096)
    var offset: UInt64 = 500
    var appended: Int64 = 1000
    return (0..<count).map { _ in
        appended += Int64(random.below(3))
        let time = Int64(random.below(2000))
        let records = 1 + random.below(9)
        let made = header(
            offset: offset, records: records, appended: appended,
            times: time...time + Int64(random.below(50)), bodyLength: 1 + random.below(30_000))
        defer {
            offset += UInt64(records)
            position = position + made.storedByteCount
        }
        return Placed(header: made, position: position)
    }
}

private func summary(of batches: [Placed]) -> SegmentSummary {
    var summary = SegmentSummary(base: Offset(500))
    for batch in batches { summary.add(batch.header, at: batch.position) }
    return summary
}

/// The first batch from a position on for which a condition holds: what a search walks to.
private func first(
    _ batches: [Placed], from start: FilePosition?, where holds: (BatchHeader) -> Bool
) -> FilePosition? {
    batches.first { $0.position >= start ?? .zero && holds($0.header) }?.position
}

@Suite("A segment's summary")
struct SegmentSummaryTests {
    @Test func `adds up what batches say`() {
        var summary = SegmentSummary(base: Offset(10))
        var keyed = header(offset: 10, records: 3, appended: 5, times: 1...9)
        keyed.keyedCount = 2
        keyed.tombstoneCount = 1
        summary.add(keyed, at: FilePosition(4096))
        summary.add(header(offset: 13, records: 1, appended: 7, times: 0...2), at: .zero)
        #expect(summary.recordCount == 4 && summary.entryCount == 4 && summary.batchCount == 2)
        #expect(summary.keyedCount == 2 && summary.tombstoneCount == 1)
        #expect(summary.endOffset == Offset(14) && summary.rawBytes == 2000)
        #expect(summary.storedBytes == UInt64(keyed.storedByteCount) * 2)
        #expect(summary.firstAppendTime == Timestamp(microseconds: 5))
        #expect(summary.lastAppendTime == Timestamp(microseconds: 7))
        #expect(summary.minRecordTime == Timestamp(microseconds: 0))
        #expect(summary.maxRecordTime == Timestamp(microseconds: 9))
    }

    @Test(arguments: [BatchHeader.Kind.marker, .filler])
    func `counts markers and fillers as bytes only`(_ kind: BatchHeader.Kind) {
        var summary = SegmentSummary(base: Offset(10))
        let empty = BatchHeader(
            kind: kind, firstOffset: Offset(99), epoch: Epoch(1), durableEnd: Offset(99),
            appendTime: .distantFuture)
        summary.add(empty, at: FilePosition(4096))
        var expected = SegmentSummary(base: Offset(10))
        expected.storedBytes = 152
        #expect(summary == expected)
    }

    @Test(arguments: 1...5)
    func `indexes the first batch, and leaves none further than a stride behind`(_ seed: UInt64) {
        let placed = batches(seed: seed, count: 200)
        let index = summary(of: placed).index
        #expect(index.first?.position == placed[0].position)
        for batch in placed {
            let block = index.last { $0.position <= batch.position }
            let distance = block.map { batch.position - $0.position } ?? .max
            #expect(distance < Limits.blockIndexStride)
        }
    }

    @Test func `says of each block what stood before it`() {
        let placed = batches(seed: 9, count: 200)
        for block in summary(of: placed).index {
            let before = placed.filter { $0.position < block.position }
            let most = before.map(\.header.maxRecordTime).max() ?? .distantPast
            #expect(block.maxRecordTimeBefore == most)
        }
    }

    @Test(arguments: 1...10)
    func `leads every search to what a walk over all batches finds`(_ seed: UInt64) {
        let placed = batches(seed: seed, count: 150)
        let summary = summary(of: placed)
        var random = SeededRandom(seed: seed)
        for _ in 0..<100 {
            let time = Timestamp(microseconds: Int64(random.below(2200)) - 50)
            let offset = Offset(490 + UInt64(random.below(900)))
            let byRecord: (BatchHeader) -> Bool = { $0.maxRecordTime >= time }
            let byAppend: (BatchHeader) -> Bool = { $0.appendTime >= time }
            let byOffset: (BatchHeader) -> Bool = { $0.endOffset > offset }
            let start = summary.position(forRecordTime: time)
            #expect(
                first(placed, from: start, where: byRecord)
                    == first(placed, from: nil, where: byRecord))
            let appended = summary.position(forAppendTime: time)
            #expect(
                first(placed, from: appended, where: byAppend)
                    == first(placed, from: nil, where: byAppend))
            let place = summary.position(forOffset: offset)
            #expect(
                first(placed, from: place, where: byOffset)
                    == first(placed, from: nil, where: byOffset))
        }
    }

    @Test func `starts as late as it may`() {
        let placed = batches(seed: 3, count: 150)
        let summary = summary(of: placed)
        let last = placed[149].header
        #expect(summary.position(forOffset: last.firstOffset) == summary.index.last?.position)
    }

    @Test func `without batches leads nowhere`() {
        let summary = SegmentSummary(base: .zero)
        #expect(summary.position(forOffset: Offset(5)) == nil)
        #expect(summary.position(forRecordTime: .distantFuture) == nil)
        #expect(summary.position(forAppendTime: .distantFuture) == nil)
    }

    @Test func `is read back`() throws {
        let summary = summary(of: batches(seed: 4, count: 100))
        let counts = summary.encodeCounts()
        #expect(counts.count == 112)
        let index = summary.encodeIndex()
        #expect(index.count == summary.index.count * 32)
        #expect(try SegmentSummary.decode(counts: counts[...], index: index[...]) == summary)
    }

    @Test(arguments: [0, 2, 1 << 59 | 1, .max] as [UInt64])
    func `that claims other blocks than it has is damaged`(_ claim: UInt64) {
        var summary = SegmentSummary(base: .zero)
        summary.add(header(offset: 0, records: 1, appended: 1), at: FilePosition(4096))
        let counts = summary.encodeCounts().setting(claim, at: 104)
        let index = summary.encodeIndex()
        let found = code { () throws(WeirError) in
            _ = try SegmentSummary.decode(counts: counts[...], index: index[...])
        }
        #expect(found == .damaged)
    }
}
