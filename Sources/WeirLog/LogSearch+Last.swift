package import WeirBase
import WeirFormat

/// Where the last so many records begin.
extension LogSearch {
    /// The offset of the first of the last `count` records that readers see; the log's start where
    /// there are fewer. May wait for the disk.
    ///
    /// Counts records, not offsets: what compaction took away is not among them. A segment without
    /// holes is answered by its counts; in another, the headers of its batches are walked over.
    /// Records that are damaged count, as nobody knows before they are read.
    package func offset(ofLast count: Int) throws(WeirError) -> Offset {
        try retrying { () throws(WeirError) in try offsetOnce(ofLast: count) }
    }

    private func offsetOnce(ofLast count: Int) throws(WeirError) -> Offset {
        let end = view.visibleEnd
        guard count > 0 else { return end }
        var wanted = count
        for segment in view.segments.reversed() where segment.base < end {
            guard let summary = try summary(of: segment) else { continue }
            let segmentEnd = min(summary.endOffset, end)
            let isWhole = Int(clamping: summary.recordCount) == summary.endOffset - segment.base
            let batches = isWhole ? [] : try batches(of: segment, before: end)
            let records =
                isWhole ? segmentEnd - segment.base : batches.reduce(0) { $0 + $1.recordCount }
            if records < wanted {
                wanted -= records
                continue
            }
            if isWhole { return max(Offset(segmentEnd.value - UInt64(wanted)), view.logStart) }
            return max(try offset(ofLast: wanted, in: batches), view.logStart)
        }
        return view.logStart
    }

    /// How many records of a segment stand before the log's start, where nobody reads them.
    package func trimmedCount(of segment: ReadableSegment<Files>) throws(WeirError) -> Int {
        guard segment.base < view.logStart, let summary = try summary(of: segment) else {
            return 0
        }
        let end = min(summary.endOffset, view.logStart)
        if Int(clamping: summary.recordCount) == summary.endOffset - segment.base {
            return end - segment.base
        }
        var count = 0
        for batch in try batches(of: segment, before: end) {
            let isGone = batch.endOffset <= end
            count += isGone ? batch.recordCount : try records(of: batch, before: end)
        }
        return count
    }

    private func records(of batch: BatchHeader, before end: Offset) throws(WeirError) -> Int {
        var cursor = LogCursor(view: view, at: end)
        guard case .batch(let found) = try cursor.next(), found.firstOffset == batch.firstOffset
        else { return min(batch.recordCount, end - batch.firstOffset) }
        var left = 0
        var records = cursor.records
        while records.next() != nil { left += 1 }
        return batch.recordCount - left
    }

    private func offset(
        ofLast count: Int, in batches: [BatchHeader]
    ) throws(WeirError) -> Offset {
        var wanted = count
        for batch in batches.reversed() {
            guard batch.recordCount >= wanted else {
                wanted -= batch.recordCount
                continue
            }
            return try record(batch.recordCount - wanted, of: batch)
        }
        return batches.first?.firstOffset ?? view.logStart
    }

    /// The offset of a batch's record by its place, counted from 0.
    private func record(_ place: Int, of batch: BatchHeader) throws(WeirError) -> Offset {
        if batch.recordCount == batch.endOffset - batch.firstOffset {
            return batch.firstOffset + place
        }
        var cursor = LogCursor(view: view, at: batch.firstOffset)
        guard case .batch(let found) = try cursor.next(), found.firstOffset == batch.firstOffset
        else { return batch.firstOffset }
        var records = cursor.records
        var left = place
        while let record = records.next() {
            if left == 0 { return record.offset }
            left -= 1
        }
        return batch.firstOffset
    }

    /// The headers of a segment's batches up to an offset, as far as readers see.
    private func batches(
        of segment: ReadableSegment<Files>, before end: Offset
    ) throws(WeirError) -> [BatchHeader] {
        var found: [BatchHeader] = []
        _ = try batch(in: segment, from: nil) { header in
            guard header.firstOffset < end else { return true }
            found.append(header)
            return false
        }
        return found
    }
}
