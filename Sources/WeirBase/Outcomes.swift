/// What became of an append.
public struct Receipt: Sendable, Hashable {
    /// The first record's offset; the others follow it without a hole.
    public let offset: Offset
    public let recordCount: Int
    public let epoch: Epoch
    /// What had been reached when the receipt was made; at least what the caller asked for.
    public let level: DurabilityLevel
    /// A named producer had sent this publishing id before: nothing was written. `offset` is then
    /// where its last append stands, which is this one's if it was the last; else this one's stands
    /// before that.
    public let isDuplicate: Bool

    package init(
        offset: Offset, recordCount: Int, epoch: Epoch, level: DurabilityLevel,
        isDuplicate: Bool = false
    ) {
        self.offset = offset
        self.recordCount = recordCount
        self.epoch = epoch
        self.level = level
        self.isDuplicate = isDuplicate
    }

    /// The last record's offset.
    public var last: Offset { offset + (recordCount - 1) }
}

/// Where reading begins.
public enum StartPosition: Sendable, Hashable {
    /// The oldest record that the stream still has.
    case first
    /// The newest visible record.
    case last
    /// What is appended from now on.
    case next
    /// This record, or the next one that exists.
    case offset(Offset)
    /// The first record, in offset order, whose record time is not before the given time.
    case time(Timestamp)
    /// The first record that Weir took at or after the given time.
    case appended(Timestamp)
    /// Where the cursor of this name stands, or the first record if it never committed.
    case cursor(String)
}

/// Records that a reader expected and that are not there.
public struct Gap: Sendable, Hashable {
    public enum Reason: String, Sendable, Hashable {
        /// Retention took them.
        case retention
        /// Their bytes are damaged.
        case damage
        /// They were read before they were durable, and power loss took them. A cursor that stood
        /// behind them is moved back: then `next` lies before `expected`.
        case unsynced
    }
    /// The offset that would have come next.
    public let expected: Offset
    /// The next offset that there is.
    public let next: Offset
    public let reason: Reason
    /// For a person: which file, which bytes.
    public let detail: String

    package init(expected: Offset, next: Offset, reason: Reason, detail: String) {
        self.expected = expected
        self.next = next
        self.reason = reason
        self.detail = detail
    }
}

/// Something that opening or reading found wrong, said once, with its place.
///
/// An unacknowledged torn tail is not damage: `isDamage` tells the two apart.
public struct DamageReport: Sendable, Hashable, CustomStringConvertible {
    public enum Kind: String, Sendable, Hashable {
        case tornTail
        case damagedBatches
        case damagedSegmentHeader
        case damagedFooter
        case missingSegment
        case unknownFile
        case damagedManifest
        case missingManifest
        case damagedEpochs
        case damagedTail
        /// There were streams and no file WEIR: a new one was written, with another store id.
        case missingStoreHeader
        case unfinishedCreation
        /// It could not be recovered; the others are there.
        case unreadableStream
        /// Its directory belongs to another stream, or its name is taken.
        case copiedStream
        /// The store is open, but other processes cannot ask its writer for anything.
        case noControl
        /// The file WEIR does not hold.
        case damagedStoreHeader
        /// A newer version of Weir wrote it.
        case newerFormat
        /// The system does not let it be read: the medium fails, or a permission is missing.
        case unreadableFile
        /// The manifest's last edit was not written to its end.
        case tornManifest
        /// A batch whose checksums hold, and whose header says something else than its records.
        case falseBatch
        /// Offsets that no segment has, and that retention did not take.
        case missingOffsets
        /// Two segments claim the same offsets.
        case overlappingSegments
        /// The index is not whole, or does not say what the log says.
        case damagedIndex
        /// A cursor's record says nothing, or is none.
        case damagedCursor
        /// A cursor behind what power loss left of the log.
        case cursorBeyondLog
        /// A cursor whose stream is not there.
        case cursorOfNoStream
    }
    public let kind: Kind
    public let stream: String
    public let path: String
    public let bytes: Range<UInt64>?
    public let offsets: Range<UInt64>?
    public let detail: String

    package init(
        kind: Kind, stream: String, path: String, bytes: Range<UInt64>? = nil,
        offsets: Range<UInt64>? = nil, detail: String
    ) {
        self.kind = kind
        self.stream = stream
        self.path = path
        self.bytes = bytes
        self.offsets = offsets
        self.detail = detail
    }

    /// False for what a crash leaves behind in the ordinary course of things.
    public var isDamage: Bool {
        switch kind {
        case .tornTail, .unfinishedCreation, .damagedTail, .noControl, .tornManifest,
            .missingOffsets, .cursorBeyondLog, .cursorOfNoStream:
            false
        default: true
        }
    }

    public var description: String {
        var text = detail + (stream.isEmpty ? " (\(path)" : " (stream \(stream), \(path)")
        if let bytes { text += ", bytes \(bytes.lowerBound) to \(bytes.upperBound)" }
        if let offsets { text += ", offsets \(offsets.lowerBound) to \(offsets.upperBound)" }
        return text + ")"
    }
}
