package import WeirBase
package import WeirFormat

/// What is to be done with a segment that its writer did not close: decided over values alone.
///
///     batches  |B1|B2|··bad··|B3|B4|··bad··|          evidence: durable below offset d
///                    x1              x2
///
/// A bad place at offset x is *corruption* if any evidence puts the durable end beyond x, or if the
/// machine did not restart and a good batch follows (no byte that was handed to the kernel can have
/// vanished). Corruption is kept, reported, and read past. The first bad place that is not
/// corruption is a *torn tail*: everything from there on was acknowledged to nobody as durable, and
/// is cut. Same facts, same plan: a crash in the middle of performing it changes nothing.
package struct RecoveryPlan: Sendable, Hashable {
    /// What is known besides the segment itself.
    package struct Evidence: Sendable, Hashable {
        /// The highest durable end that tail slot, manifest or other segments prove.
        package var durableEnd: Offset
        /// The kernel has not restarted since the last writer opened the store.
        package var isSameBoot: Bool
        /// The segment before this one lost its end, and nothing says that it was durable: so
        /// nothing here was, and it would not follow.
        package var isCutOff = false
        /// Where the next segment begins: what lies behind is not this one's to hold.
        package var nextBase: Offset?

        package init(durableEnd: Offset, isSameBoot: Bool) {
            self.durableEnd = durableEnd
            self.isSameBoot = isSameBoot
        }
    }

    /// The file is cut here; nothing is lost that was acknowledged as durable.
    package var keptEnd: FilePosition
    /// Statistics of what is kept.
    package var summary: SegmentSummary
    /// Bytes that were corrupted and stay where they are; copies go to quarantine.
    package var corrupt: [ScannedSegment.Bad] = []
    /// Bytes that are cut; a copy goes to quarantine.
    package var torn: Range<UInt64>?
    package var tornOffsets: Range<UInt64>?
    /// The offset that the next append gets: the maximum of all evidence.
    package var nextOffset: Offset
    package var durableEnd: Offset
    package var lastAppendTime: Timestamp
    /// Records that evidence says were durable and that are not there.
    package var lostOffsets: Range<UInt64>?

    package init(_ scan: ScannedSegment, _ evidence: Evidence) {
        var durableEnd = evidence.durableEnd
        for batch in scan.batches { durableEnd = max(durableEnd, batch.header.durableEnd) }
        if scan.footer != nil {
            // A footer is written after a sync of everything before it.
            durableEnd = max(durableEnd, scan.batches.last?.header.endOffset ?? .zero)
        }
        let cut =
            evidence.isCutOff
            ? ScannedSegment.Bad(
                range: scan.batchesStart.value..<UInt64(scan.fileBytes), batchesBefore: 0)
            : RecoveryPlan.firstTorn(scan, durableEnd, evidence.isSameBoot)
        let kept = scan.batches.prefix(cut?.batchesBefore ?? scan.batches.count)

        summary = SegmentSummary(base: scan.base)
        for batch in kept { summary.add(batch.header, at: batch.position) }
        keptEnd =
            cut.map { FilePosition($0.range.lowerBound) }
            ?? max(scan.end, scan.bad.last.map { FilePosition($0.range.upperBound) } ?? .zero)
        if scan.footer != nil, cut == nil { keptEnd = scan.end }
        lastAppendTime = kept.map(\.header.appendTime).max() ?? .distantPast
        nextOffset = evidence.isCutOff ? durableEnd : max(summary.endOffset, durableEnd)
        self.durableEnd = durableEnd
        corrupt = scan.bad.filter { $0.range.lowerBound < keptEnd.value }
        if let cut {
            torn = cut.range.lowerBound..<UInt64(scan.fileBytes)
            let end = scan.batches.last.map { max($0.header.endOffset, summary.endOffset) }
            let lost = max(end ?? summary.endOffset, cut.lost?.endOffset ?? .zero)
            tornOffsets = summary.endOffset.value..<max(summary.endOffset, lost).value
        }
        let dueEnd = min(durableEnd, evidence.nextBase ?? durableEnd)
        if dueEnd > summary.endOffset { lostOffsets = summary.endOffset.value..<dueEnd.value }
    }

    /// The first bad place that no evidence calls corruption.
    private static func firstTorn(
        _ scan: ScannedSegment, _ durableEnd: Offset, _ isSameBoot: Bool
    ) -> ScannedSegment.Bad? {
        scan.bad.first { bad in
            let before = scan.batches.prefix(bad.batchesBefore).last?.header.endOffset
            let offset = before ?? scan.base
            let isFollowed = bad.batchesBefore < scan.batches.count
            return durableEnd <= offset && !(isSameBoot && isFollowed)
        }
    }
}
