package import WeirBase
package import WeirFormat

/// What is wrong with a row of batches, met one after the other: a decider.
///
///     |B 0–9|B 10–19|··bad··|B 30–39|          10 records are missing: the bad bytes held them
///     |B 0–9|B 20–29|                          10 records are missing, and no byte is bad
///
/// In a segment that was compacted offsets rise and have holes; elsewhere each batch begins where
/// the one before it ended, though one that was taken in from another log may have holes in itself.
package struct BatchSequence: Sendable {
    /// Something that is not as a writer leaves it.
    package struct Defect: Sendable, Hashable {
        package var kind: DamageReport.Kind
        package var bytes: Range<UInt64>?
        package var offsets: Range<UInt64>?
        package var detail: String

        package init(
            _ kind: DamageReport.Kind, bytes: Range<UInt64>? = nil,
            offsets: Range<UInt64>? = nil, _ detail: String
        ) {
            self.kind = kind
            self.bytes = bytes
            self.offsets = offsets
            self.detail = detail
        }
    }

    private let isCompacted: Bool
    /// The offset that the next batch should begin with.
    package private(set) var next: Offset
    /// Bytes without a header, whose records only the next batch tells.
    private var pending: Range<UInt64>?
    private var epoch = Epoch(0)
    private var appendTime = Timestamp.distantPast
    /// Whether any byte was bad: what the footer says then cannot be compared.
    package private(set) var hasDamage = false

    package init(base: Offset, isCompacted: Bool) {
        self.next = base
        self.isCompacted = isCompacted
    }

    /// Bytes that hold no good batch; `lost` is the header of a batch whose body does not hold.
    package mutating func damage(
        _ range: Range<UInt64>, lost: BatchHeader?
    ) -> [Defect] {
        hasDamage = true
        guard let lost else {
            pending = (pending?.lowerBound ?? range.lowerBound)..<range.upperBound
            return []
        }
        var defects = settle(before: lost)
        defects.append(
            Defect(
                .damagedBatches, bytes: range,
                offsets: lost.offsetSpan > 0
                    ? lost.firstOffset.value..<lost.endOffset.value : nil,
                "the checksum of a batch's body does not hold"))
        next = max(next, lost.endOffset)
        return defects
    }

    /// A good batch.
    package mutating func batch(_ header: BatchHeader, at position: FilePosition) -> [Defect] {
        var defects = settle(before: header)
        let bytes = position.value..<position.value + UInt64(header.storedByteCount)
        func add(_ detail: String) {
            defects.append(
                Defect(
                    .falseBatch, bytes: bytes,
                    offsets: header.firstOffset.value..<header.endOffset.value, detail))
        }
        if header.epoch < epoch {
            add("a batch of epoch \(header.epoch) stands behind one of epoch \(epoch)")
        }
        if header.appendTime < appendTime {
            add("a batch was appended at \(header.appendTime), before the one in front of it")
        }
        epoch = max(epoch, header.epoch)
        appendTime = max(appendTime, header.appendTime)
        guard header.kind == .records else { return defects }
        if header.firstOffset < next {
            add("a batch begins with offset \(header.firstOffset); expected \(next)")
        }
        next = max(next, header.endOffset)
        return defects
    }

    /// No batch follows. `limit`: where the batches should end, and with which offset.
    package mutating func end(
        at position: FilePosition, limit: (position: FilePosition, offset: Offset)?
    ) -> [Defect] {
        guard let limit else { return settle(upTo: next) }
        if position < limit.position {
            _ = damage(position.value..<limit.position.value, lost: nil)
        }
        return settle(upTo: max(next, limit.offset))
    }

    private mutating func settle(before header: BatchHeader) -> [Defect] {
        settle(upTo: header.kind == .records ? header.firstOffset : next)
    }

    private mutating func settle(upTo offset: Offset) -> [Defect] {
        defer {
            pending = nil
            next = max(next, offset)
        }
        let missing = next < offset ? next.value..<offset.value : nil
        if let pending {
            return [
                Defect(.damagedBatches, bytes: pending, offsets: missing, "bytes are no batch")
            ]
        }
        guard let missing, !isCompacted else { return [] }
        return [
            Defect(
                .missingOffsets, offsets: missing,
                "offsets are missing between batches, and no byte is damaged")
        ]
    }
}

extension BatchSequence {
    /// Whether segments fit to each other and to where the log starts. Those that compaction wrote
    /// end where the last one ended that they replace, whatever is left of it.
    package static func gaps(
        between segments: [(base: Offset, end: Offset?)], logStart: Offset
    ) -> [(index: Int, defect: Defect)] {
        var found: [(index: Int, defect: Defect)] = []
        var end: Offset? = logStart
        for (index, segment) in segments.enumerated() {
            if let end, index > 0, segment.base < end {
                found.append(
                    (
                        index,
                        Defect(
                            .overlappingSegments, offsets: segment.base.value..<end.value,
                            "the segment begins with offset \(segment.base), and the one before it "
                                + "ends at \(end)")
                    ))
            } else if let end, segment.base > end {
                found.append(
                    (
                        index,
                        Defect(
                            .missingOffsets, offsets: end.value..<segment.base.value,
                            "no segment has the offsets from \(end) to before \(segment.base)")
                    ))
            }
            end = segment.end
        }
        return found
    }
}
