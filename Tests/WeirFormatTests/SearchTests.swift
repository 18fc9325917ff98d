import Testing
import WeirBase
import WeirFormat
import WeirTesting

/// Headers without bytes: what a summary is made from.
private struct Batches {
    var rows: [(header: BatchHeader, position: FilePosition)] = []
    var summary = SegmentSummary(base: Offset(100))

    init(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var offset = Offset(100)
        var position = FilePosition(4096)
        var appended: Int64 = 1000
        for _ in 0..<random.below(200) {
            // Append times stand still at times and never go back; record times do as they like.
            appended += Int64(random.below(3))
            var header = BatchHeader(
                kind: random.oneIn(10) ? .marker : .records, firstOffset: offset, epoch: Epoch(1),
                durableEnd: .zero, appendTime: Timestamp(microseconds: appended))
            if header.kind == .records {
                header.recordCount = 1 + random.below(50)
                header.offsetSpan = header.recordCount
                header.bodyLength = random.below(40_000)
                let least = Int64(random.below(3000)) - 500
                header.minRecordTime = Timestamp(microseconds: least)
                header.maxRecordTime = Timestamp(microseconds: least + Int64(random.below(200)))
            }
            rows.append((header, position))
            summary.add(header, at: position)
            position = position + header.storedByteCount
            offset = header.endOffset
        }
    }

    /// The first batch of records for which a condition holds.
    func first(_ holds: (BatchHeader) -> Bool) -> FilePosition? {
        rows.first { $0.header.kind == .records && holds($0.header) }?.position
    }

    /// How many bytes lie between where a search starts and what it looks for.
    func check(_ start: FilePosition?, finds wanted: FilePosition?) {
        guard let wanted else { return }
        let from = start ?? FilePosition(4096)
        // `#expect` is slow where it is asked a million times.
        if from > wanted { Issue.record("a search begins at \(from), behind \(wanted)") }
    }
}

@Suite("A search in a segment's summary")
struct SearchTests {
    @Test(arguments: 0..<60)
    func `begins in front of what a linear search finds`(_ seed: Int) {
        let batches = Batches(seed: UInt64(seed))
        let summary = batches.summary
        for offset in stride(from: 0, to: 2000, by: 7) {
            let wanted = Offset(UInt64(offset) + 90)
            batches.check(
                summary.position(forOffset: wanted), finds: batches.first { $0.endOffset > wanted })
        }
        for microseconds in stride(from: Int64(-600), to: 3000, by: 3) {
            let time = Timestamp(microseconds: microseconds)
            batches.check(
                summary.position(forRecordTime: time),
                finds: batches.first { $0.maxRecordTime >= time })
            batches.check(
                summary.position(forAppendTime: time),
                finds: batches.first { $0.appendTime >= time })
        }
    }

    @Test(arguments: 0..<50)
    func `begins at most a block in front of an offset`(_ seed: Int) {
        let batches = Batches(seed: UInt64(seed))
        for (header, position) in batches.rows where header.kind == .records {
            guard let start = batches.summary.position(forOffset: header.firstOffset) else {
                Issue.record("no block for \(header.firstOffset)")
                continue
            }
            #expect(start <= position)
            #expect(position - start < Limits.blockIndexStride)
        }
    }

    @Test(arguments: 0..<20)
    func `gives the same after a round trip through the footer`(_ seed: Int) throws {
        let summary = Batches(seed: UInt64(seed)).summary
        let footer = SegmentFooter(
            segmentID: SegmentID(5), summary: summary, logStart: Offset(3),
            configuration: Golden.configuration)
        let place = FilePosition(81_920)
        let (bytes, checksum) = footer.encode(at: place)
        let (decoded, found) = try SegmentFooter.decode(bytes, segment: SegmentID(5), at: place)
        #expect(decoded == footer)
        #expect(found == checksum)
        let trailer = Array(bytes.suffix(SegmentFooter.Trailer.end))
        #expect(try SegmentFooter.byteCount(trailer: trailer, segment: SegmentID(5)) == bytes.count)
        #expect(try SegmentFooter.byteCount(trailer: trailer, segment: SegmentID(6)) == nil)
        let moved = code { () throws(WeirError) in
            _ = try SegmentFooter.decode(bytes, segment: SegmentID(5), at: place + 8)
        }
        #expect(moved == .damaged)
    }

    @Test func `of an empty segment finds nothing`() {
        let summary = SegmentSummary(base: Offset(7))
        #expect(summary.position(forOffset: Offset(7)) == nil)
        #expect(summary.position(forRecordTime: .distantFuture) == nil)
        #expect(summary.position(forAppendTime: .distantFuture) == nil)
    }
}
