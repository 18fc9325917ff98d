package import WeirBase

/// One entry of a segment's block index, 32 bytes; little-endian.
///
///      0        8             16                        24         32
///     | offset | append time | maximum of record time  | position |
///
/// The maximum runs over everything in the segment *before* the block, so a search for the first
/// record time ≥ t starts at the last block whose maximum is still < t and misses nothing.
package struct BlockIndexEntry: Sendable, Hashable {
    package static let byteCount = 32
    package var offset: Offset
    package var appendTime: Timestamp
    package var maxRecordTimeBefore: Timestamp
    package var position: FilePosition
}

/// What is known of a segment's batches without reading them: counts, ranges and the block index.
///
/// Writer and recovery feed it one header after the other; the footer is its bytes.
package struct SegmentSummary: Sendable, Hashable {
    package var base: Offset
    package var endOffset: Offset
    package var batchCount: UInt64 = 0
    package var recordCount: UInt64 = 0
    package var entryCount: UInt64 = 0
    package var rawBytes: UInt64 = 0
    package var storedBytes: UInt64 = 0
    package var keyedCount: UInt64 = 0
    package var tombstoneCount: UInt64 = 0
    package var firstAppendTime = Timestamp.distantFuture
    package var lastAppendTime = Timestamp.distantPast
    package var minRecordTime = Timestamp.distantFuture
    package var maxRecordTime = Timestamp.distantPast
    package var index: [BlockIndexEntry] = []

    package init(base: Offset) {
        self.base = base
        self.endOffset = base
    }

    /// Takes a batch in. Markers and fillers count as stored bytes only.
    package mutating func add(_ header: BatchHeader, at position: FilePosition) {
        storedBytes += UInt64(header.storedByteCount)
        guard header.kind == .records else { return }
        let isFar = index.last.map { position - $0.position >= Limits.blockIndexStride } ?? true
        if isFar {
            index.append(
                BlockIndexEntry(
                    offset: header.firstOffset, appendTime: header.appendTime,
                    maxRecordTimeBefore: maxRecordTime, position: position))
        }
        batchCount += 1
        recordCount += UInt64(header.recordCount)
        entryCount += UInt64(header.entryCount)
        rawBytes += UInt64(header.rawBodyLength)
        keyedCount += UInt64(header.keyedCount)
        tombstoneCount += UInt64(header.tombstoneCount)
        endOffset = max(endOffset, header.endOffset)
        firstAppendTime = min(firstAppendTime, header.appendTime)
        lastAppendTime = max(lastAppendTime, header.appendTime)
        minRecordTime = min(minRecordTime, header.minRecordTime)
        maxRecordTime = max(maxRecordTime, header.maxRecordTime)
    }

    /// Where to start walking for an offset; `nil` if there is no block before it.
    package func position(forOffset offset: Offset) -> FilePosition? {
        lastBlock { $0.offset <= offset }
    }
    /// Where to start walking for the first record whose time is not before `time`.
    package func position(forRecordTime time: Timestamp) -> FilePosition? {
        lastBlock { $0.maxRecordTimeBefore < time }
    }
    /// Where to start walking for the first batch that was appended at `time` or later.
    package func position(forAppendTime time: Timestamp) -> FilePosition? {
        lastBlock { $0.appendTime < time } ?? index.first?.position
    }

    /// The last block for which a condition holds that holds for all before it.
    private func lastBlock(where holds: (BlockIndexEntry) -> Bool) -> FilePosition? {
        var low = 0
        var high = index.count
        while low < high {
            let middle = (low + high) / 2
            if holds(index[middle]) { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? nil : index[low - 1].position
    }
}

extension SegmentSummary {
    /// Everything but the index, 112 bytes: section 1 of the footer.
    package func encodeCounts() -> [UInt8] {
        var writer = ByteWriter(capacity: 112)
        writer.put(base)
        writer.put(endOffset)
        for count in [
            batchCount, recordCount, entryCount, rawBytes, storedBytes, keyedCount, tombstoneCount,
        ] {
            writer.put(count)
        }
        writer.put(firstAppendTime)
        writer.put(lastAppendTime)
        writer.put(minRecordTime)
        writer.put(maxRecordTime)
        writer.put(UInt64(index.count))
        return writer.bytes
    }

    package static func decode(
        counts: ArraySlice<UInt8>, index: ArraySlice<UInt8>
    ) throws(WeirError) -> SegmentSummary {
        var reader = ByteReader(counts, "footer's counts")
        var summary = SegmentSummary(base: try reader.offset())
        summary.endOffset = try reader.offset()
        summary.batchCount = try reader.get()
        summary.recordCount = try reader.get()
        summary.entryCount = try reader.get()
        summary.rawBytes = try reader.get()
        summary.storedBytes = try reader.get()
        summary.keyedCount = try reader.get()
        summary.tombstoneCount = try reader.get()
        summary.firstAppendTime = try reader.time()
        summary.lastAppendTime = try reader.time()
        summary.minRecordTime = try reader.time()
        summary.maxRecordTime = try reader.time()
        let blockCount: UInt64 = try reader.get()
        let byteCount = BlockIndexEntry.byteCount
        guard index.count % byteCount == 0, UInt64(index.count / byteCount) == blockCount else {
            throw WeirError.damaged(
                "The footer's index has \(index.count) bytes for \(blockCount) blocks.")
        }
        var blocks = ByteReader(index, "footer's index")
        summary.index.reserveCapacity(Int(blockCount))
        while !blocks.isAtEnd {
            summary.index.append(
                BlockIndexEntry(
                    offset: try blocks.offset(), appendTime: try blocks.time(),
                    maxRecordTimeBefore: try blocks.time(), position: try blocks.place()))
        }
        return summary
    }

    package func encodeIndex() -> [UInt8] {
        var writer = ByteWriter(capacity: index.count * BlockIndexEntry.byteCount)
        for block in index {
            writer.put(block.offset)
            writer.put(block.appendTime)
            writer.put(block.maxRecordTimeBefore)
            writer.put(block.position)
        }
        return writer.bytes
    }
}
