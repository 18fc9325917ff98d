package import WeirBase

/// Where the next batch of a stream goes: an unsealed segment and what is known of it.
package struct SegmentTail: Sendable, Hashable {
    package var id: SegmentID
    package var base: Offset
    package var position: FilePosition
    package var summary: SegmentSummary

    package init(id: SegmentID, base: Offset, position: FilePosition, summary: SegmentSummary) {
        self.id = id
        self.base = base
        self.position = position
        self.summary = summary
    }
}

/// What the failure path hands to the data path: a stream that may be opened, and from where.
package struct RecoveredStream: Sendable, Hashable {
    package var manifest: ManifestState
    /// Never less than any evidence of an earlier offset.
    package var nextOffset: Offset
    package var durableEnd: Offset
    package var lastAppendTime: Timestamp
    /// `nil`: the next append starts a new segment.
    package var tail: SegmentTail?
    package var reports: [DamageReport]

    package init(
        manifest: ManifestState, nextOffset: Offset, durableEnd: Offset,
        lastAppendTime: Timestamp, tail: SegmentTail?, reports: [DamageReport]
    ) {
        self.manifest = manifest
        self.nextOffset = nextOffset
        self.durableEnd = durableEnd
        self.lastAppendTime = lastAppendTime
        self.tail = tail
        self.reports = reports
    }
}
