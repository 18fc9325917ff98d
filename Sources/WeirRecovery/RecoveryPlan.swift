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
        var durableEnd = max(evidence.durableEnd, scan.durableEnd)
        // A footer is written after a sync of everything before it.
        if scan.footer != nil { durableEnd = max(durableEnd, scan.standing.endOffset) }
        let cut = RecoveryPlan.cut(scan, durableEnd, evidence)
        summary = cut.map { scan.summary(before: $0) } ?? scan.standing.summary
        let end = scan.standing.end
        keptEnd =
            cut.map { FilePosition($0.range.lowerBound) }
            ?? max(end, scan.bad.last.map { FilePosition($0.range.upperBound) } ?? .zero)
        if scan.footer != nil, cut == nil { keptEnd = end }
        lastAppendTime = (cut?.before ?? scan.standing).lastAppendTime
        nextOffset = evidence.isCutOff ? durableEnd : max(summary.endOffset, durableEnd)
        self.durableEnd = durableEnd
        corrupt = scan.bad.filter { $0.range.lowerBound < keptEnd.value }
        if let cut {
            torn = cut.range.lowerBound..<UInt64(scan.fileBytes)
            let lost = max(scan.standing.endOffset, cut.lost?.endOffset ?? .zero)
            tornOffsets = summary.endOffset.value..<max(summary.endOffset, lost).value
        }
        let dueEnd = min(durableEnd, evidence.nextBase ?? durableEnd)
        if dueEnd > summary.endOffset { lostOffsets = summary.endOffset.value..<dueEnd.value }
    }

    /// The first bad place that no evidence calls corruption.
    private static func cut(
        _ scan: ScannedSegment, _ durableEnd: Offset, _ evidence: Evidence
    ) -> ScannedSegment.Bad? {
        if evidence.isCutOff {
            return ScannedSegment.Bad(
                range: scan.batchesStart.value..<UInt64(scan.fileBytes),
                before: .init(base: scan.base, start: scan.batchesStart))
        }
        return scan.bad.first { bad in
            let isFollowed = bad.before.batchCount < scan.standing.batchCount
            // All that the segment had to hold stands before it: the footer was being written.
            let isFooters = evidence.nextBase.map { bad.before.endOffset >= $0 } ?? false
            if isFooters, !isFollowed { return true }
            return durableEnd <= bad.before.endOffset && !(evidence.isSameBoot && isFollowed)
        }
    }
}
