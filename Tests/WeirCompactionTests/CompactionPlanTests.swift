import Testing
import WeirBase
import WeirCompaction
import WeirFormat

@Suite("A plan of a compaction")
struct CompactionPlanTests {
    /// A sealed segment of 1,000 records and 100,000 bytes.
    private func segment(
        _ number: UInt64, epoch: UInt64 = 1, storedBytes: UInt64 = 100_000
    ) -> SurveyedSegment {
        var summary = SegmentSummary(base: Offset(number * 1000))
        summary.endOffset = Offset(number * 1000 + 1000)
        summary.recordCount = 1000
        summary.rawBytes = 100_000
        let sealed = SealedSegment(
            summary: summary, batchesEnd: FilePosition(storedBytes), fileBytes: storedBytes,
            footerChecksum: 0)
        let entry = SegmentEntry(
            id: SegmentID(number), base: summary.base, epoch: Epoch(epoch), sealed: sealed)
        return SurveyedSegment(entry: entry, sealed: sealed)
    }

    private func plan(
        _ segments: [SurveyedSegment], segmentBytes: Int = 1 << 30, headerBytesMax: Int = 3000,
        unpacks: Bool = false
    ) -> CompactionPlan {
        CompactionPlan(
            segments, dirtyPercent: 50, segmentBytes: segmentBytes,
            headerBytesMax: headerBytesMax, unpacks: unpacks)
    }

    @Test func `merges small neighbours, of whatever epochs`() {
        let segments = (0..<5).map { segment($0, epoch: $0 / 2) }
        #expect(plan(segments).groups.map(\.segments) == [0..<5])
    }

    @Test func `leaves alone what is large, or fills a file together`() {
        let segments = (0..<5).map { segment($0) }
        #expect(plan(segments, segmentBytes: 400_000).groups == [])
        let groups = plan(segments + segments, segmentBytes: 800_000).groups
        #expect(groups.map(\.segments) == [0..<8, 8..<10])
    }

    @Test func `merges nothing across offsets that are lost`() {
        let segments = [0, 1, 3, 4].map { segment($0) }
        #expect(plan(segments).groups.map(\.segments) == [0..<2, 2..<4])
    }

    @Test func `merges no more than a header can tell of`() {
        // 24 bytes each.
        let segments = (0..<10).map { segment($0, epoch: $0) }
        let groups = plan(segments, headerBytesMax: 100).groups
        #expect(groups.map(\.segments) == [0..<4, 4..<8, 8..<10])
    }

    @Test func `takes of small neighbours no more along than stays of them`() {
        var segments = (0..<4).map { segment($0) }
        for index in segments.indices {
            segments[index].deadBytes = 10_000
            segments[index].deadCount = 100
        }
        let groups = plan(segments, segmentBytes: 800_000).groups
        #expect(groups.map(\.segments) == [0..<4])
        #expect(groups.map(\.liveBytes) == [360_000])
    }

    @Test func `counts what is left unpacked, where a stream is not compressed any more`() {
        var segments = (0..<2).map { segment($0, storedBytes: 10_000) }
        for index in segments.indices {
            segments[index].deadBytes = 60_000
            segments[index].deadCount = 600
        }
        #expect(plan(segments, segmentBytes: 70_000).groups.map(\.liveBytes) == [8_000])
        let groups = plan(segments, segmentBytes: 70_000, unpacks: true).groups
        #expect(groups.map(\.liveBytes) == [40_000, 40_000])
    }

    @Test func `counts the epochs that were merged before`() {
        var segments = (0..<3).map { segment($0, epoch: $0 * 10) }
        segments[1].epochStarts = [
            EpochStart(epoch: Epoch(11), offset: Offset(1200)),
            EpochStart(epoch: Epoch(12), offset: Offset(1300)),
        ]
        #expect(plan(segments, headerBytesMax: 79).groups == [])
        #expect(plan(segments, headerBytesMax: 80).groups.map(\.segments) == [0..<2])
        #expect(plan(segments, headerBytesMax: 104).groups.map(\.segments) == [0..<3])
    }

    @Test func `keeps tombstones behind a segment whose epochs do not fit any more`() {
        var segments = (0..<3).map { segment($0) }
        segments[1].deadBytes = 90_000
        segments[1].deadCount = 900
        segments[1].epochStarts = [EpochStart(epoch: Epoch(2), offset: Offset(1500))]
        segments[2].expiredBytes = 90_000
        segments[2].expiredCount = 900
        #expect(
            plan(segments, headerBytesMax: 39).tombstones
                == [.all, .hidingNothing, .hidingNothing])
        #expect(plan(segments, headerBytesMax: 40).tombstones == [.all, .all, .all])
    }

    @Test func `keeps tombstones that hide something where something superseded stays`() {
        var segments = (0..<3).map { segment($0) }
        segments[1].deadBytes = 10_000
        segments[1].deadCount = 100
        segments[2].expiredBytes = 90_000
        segments[2].expiredCount = 900
        #expect(plan(segments).tombstones == [.all, .hidingNothing, .hidingNothing])
        segments[2].hidingCount = 300
        #expect(plan(segments, segmentBytes: 400_000).groups.map(\.segments) == [2..<3])
        segments[2].hidingCount = 500
        #expect(plan(segments, segmentBytes: 400_000).groups == [])
    }

    @Test func `keeps all tombstones behind bytes that nobody can read`() {
        var segments = (0..<3).map { segment($0) }
        segments[1].damage = "bad bytes"
        #expect(plan(segments).tombstones == [.all, .none, .none])
    }

    @Test func `keeps all tombstones behind superseded records that cannot be taken out`() {
        var segments = (0..<3).map { segment($0) }
        segments[1].hasFixedBatches = true
        #expect(plan(segments).tombstones == [.all, .all, .all])
        segments[1].deadBytes = 90_000
        segments[1].deadCount = 900
        #expect(plan(segments).tombstones == [.all, .none, .none])
    }

    @Test func `keeps all tombstones of a round that others before did not leave clean`() {
        let plan = CompactionPlan(
            (0..<2).map { segment($0) }, startsClean: false, dirtyPercent: 50,
            segmentBytes: 1 << 30, headerBytesMax: 3000)
        #expect(plan.tombstones == [.none, .none])
    }

    @Test func `sets a damaged segment aside, and merges on both sides of it`() {
        var segments = (0..<5).map { segment($0) }
        segments[2].damage = "bad bytes"
        #expect(plan(segments).groups.map(\.segments) == [0..<2, 3..<5])
    }

    /// Sealed segments whose last records came at these seconds, and the active one behind them.
    private func log(_ lastSeconds: [Int64]) -> [SegmentEntry] {
        var entries = lastSeconds.enumerated().map { index, seconds in
            var entry = segment(UInt64(index)).entry
            entry.sealed?.lastAppendTime = Timestamp(microseconds: seconds * 1_000_000)
            return entry
        }
        entries.append(
            SegmentEntry(
                id: SegmentID(99), base: Offset(UInt64(lastSeconds.count) * 1000),
                epoch: Epoch(1), sealed: nil))
        return entries
    }

    private func eligible(_ entries: [SegmentEntry], lagSecondsMin: Int, at seconds: Int64) -> Int {
        CompactionPlan.eligible(
            entries, lagSecondsMin: lagSecondsMin,
            now: Timestamp(microseconds: seconds * 1_000_000))
    }

    @Test func `looks at no segment with records that are younger than the lag`() {
        let entries = log([100, 200, 300])
        #expect(eligible(entries, lagSecondsMin: 60, at: 159) == 0)
        #expect(eligible(entries, lagSecondsMin: 60, at: 160) == 1)
        #expect(eligible(entries, lagSecondsMin: 60, at: 359) == 2)
        #expect(eligible(entries, lagSecondsMin: 60, at: 1000) == 3)
        // Behind a younger segment none counts, however old it says that it is.
        #expect(eligible(log([300, 100]), lagSecondsMin: 60, at: 200) == 0)
    }

    @Test func `looks at all that is sealed without a lag, and never at the log's last`() {
        // A clock that went back hides nothing then.
        #expect(eligible(log([100, 200, 300]), lagSecondsMin: 0, at: 50) == 3)
        #expect(eligible(Array(log([100, 200]).dropLast()), lagSecondsMin: 0, at: 50) == 1)
        #expect(eligible(log([]), lagSecondsMin: 0, at: 50) == 0)
        #expect(eligible([], lagSecondsMin: 0, at: 50) == 0)
    }

    @Test func `is due when so much of what is sealed is new`() {
        func isDue(compactedEnd: UInt64, dirtyPercent: Int) -> Bool {
            CompactionPlan.isDue(
                log([1, 2, 3, 4])[...], compactedEnd: Offset(compactedEnd),
                dirtyPercent: dirtyPercent)
        }
        // Four segments of as many bytes and of 1,000 records: a quarter each.
        #expect(isDue(compactedEnd: 0, dirtyPercent: 100))
        #expect(!isDue(compactedEnd: 1000, dirtyPercent: 76))
        #expect(isDue(compactedEnd: 1000, dirtyPercent: 75))
        #expect(!isDue(compactedEnd: 3000, dirtyPercent: 26))
        #expect(isDue(compactedEnd: 3000, dirtyPercent: 25))
        // One new record makes its segment new.
        #expect(isDue(compactedEnd: 3999, dirtyPercent: 25))
        #expect(!isDue(compactedEnd: 4000, dirtyPercent: 1))
    }

    @Test func `is not due for what is not sealed`() {
        #expect(!CompactionPlan.isDue(log([])[...], compactedEnd: .zero, dirtyPercent: 1))
        #expect(!CompactionPlan.isDue([], compactedEnd: .zero, dirtyPercent: 1))
    }
}
