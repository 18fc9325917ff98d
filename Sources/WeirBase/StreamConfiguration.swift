/// When an append is acknowledged.
public enum Durability: Sendable, Hashable {
    /// After the sync that covers the batch: survives power loss. The default.
    case durable
    /// After the write: survives the death of the process, not of the machine. Power loss may cost
    /// everything that the kernel has not written back yet, up to 30 seconds on a usual Linux.
    case flushed
    /// As `flushed`, with a sync every so many milliseconds: power loss costs at most that.
    case interval(milliseconds: UInt32)
}

/// What a receipt says of its records: the level that they had reached when it was made.
public enum DurabilityLevel: String, Sendable, Hashable, Comparable {
    case flushed
    case durable
    public static func < (a: DurabilityLevel, b: DurabilityLevel) -> Bool {
        a == .flushed && b == .durable
    }
}

/// How the bodies of batches are stored.
public enum Compression: String, Sendable, Hashable, CaseIterable {
    case off
    /// Every batch as an LZ4 frame.
    case lz4
    /// LZ4 for each batch that shrinks by at least a tenth; the others as they are. The default of
    /// the command line is `off`, as compression costs time.
    case automatic = "auto"
}

/// How far readers see.
public enum Visibility: String, Sendable, Hashable {
    /// Up to what is known to survive power loss.
    case durable
    /// Up to what was handed to the operating system.
    case flushed
}

/// A stream's settings. Some can be changed later, see `LogStream.configure`.
public struct StreamConfiguration: Sendable, Hashable {
    public var durability: Durability
    public var compression: Compression
    /// `nil`: what the stream's own durability acknowledges.
    public var visibility: Visibility?
    /// Size at which a segment is sealed: 64 MiB to 4 GiB. Another one holds from the next on.
    public var segmentBytes: Int
    /// Raw bytes of a batch, at most 16 MiB.
    public var batchBytesMax: Int
    /// Where each group of batches that is synced together begins: 8, or 4096 for devices whose
    /// interrupted writes damage neighbouring bytes of the same page.
    public var commitAlignment: Int
    /// How long a leader waits for company before it writes: 0 (not at all) to 1000 µs. It trades
    /// latency for fewer and larger syncs, where many appends come at nearly the same time.
    public var lingerMicroseconds: Int
    /// Which partition of which partitioned stream it is; `nil` for a stream that stands alone.
    /// Only the making of a partitioned stream sets it.
    public package(set) var partition: Partition?
    /// Whether the store's index finds records by their keys. Without it a replay by key reads the
    /// whole stream.
    public var keyIndex: Bool
    /// Names of headers by whose values the store's index finds records, up to 8; none by default.
    /// Each costs the index as much as a key, and its records are read once more for it.
    public var indexedHeaders: [String]
    /// How the stream is compacted by key; `nil`, the default, where every record stays.
    public var compaction: CompactionPolicy?
    /// How long records are kept; `nil`, the default, for ever.
    public var retention: RetentionPolicy?
    /// What the stream may take up; `nil`, the default: what the disk has.
    public var quota: Quota?

    public init(
        durability: Durability = .durable,
        compression: Compression = .off,
        visibility: Visibility? = nil,
        segmentBytes: Int = Limits.segmentBytesDefault,
        batchBytesMax: Int = Limits.batchBytesDefault,
        commitAlignment: Int = 8,
        lingerMicroseconds: Int = 0,
        keyIndex: Bool = true,
        indexedHeaders: [String] = [],
        compaction: CompactionPolicy? = nil,
        retention: RetentionPolicy? = nil,
        quota: Quota? = nil
    ) {
        self.durability = durability
        self.compression = compression
        self.visibility = visibility
        self.segmentBytes = segmentBytes
        self.batchBytesMax = batchBytesMax
        self.commitAlignment = commitAlignment
        self.lingerMicroseconds = lingerMicroseconds
        self.keyIndex = keyIndex
        self.indexedHeaders = indexedHeaders
        self.compaction = compaction
        self.retention = retention
        self.quota = quota
    }

    public var effectiveVisibility: Visibility {
        if let visibility { return visibility }
        return durability == .durable ? .durable : .flushed
    }

    /// The same settings for a stream of one's own, or for another partition.
    package func placed(in partition: Partition?) -> StreamConfiguration {
        var copy = self
        copy.partition = partition
        return copy
    }

    /// Throws `invalidArgument` for a setting that differs and cannot be changed.
    package func expectChangeable(to new: StreamConfiguration) throws(WeirError) {
        for (what, isSame, reason) in [
            ("place among partitions", partition == new.partition, Reason.partition),
            ("batch limit", batchBytesMax == new.batchBytesMax, Reason.batchLimit),
            ("commit alignment", commitAlignment == new.commitAlignment, Reason.alignment),
            ("index of keys", keyIndex == new.keyIndex, Reason.index),
            ("indexed headers", indexedHeaders == new.indexedHeaders, Reason.index),
        ] where !isSame {
            throw Self.stays(what, reason)
        }
    }

    /// Why a setting cannot be changed.
    package enum Reason: String {
        case partition = "its keys were sent to it by that"
        case batchLimit = "every subscription has set aside memory for a batch of that size"
        case alignment = "it is a promise about every byte of the stream"
        case index = "the index holds the records that are there by it"
    }

    package static func stays(_ what: String, _ reason: Reason) -> WeirError {
        WeirError(
            .invalidArgument,
            "The \(what) of a stream is chosen at its creation and stays, since "
                + "\(reason.rawValue); create another stream with the one that you want, and "
                + "append the records to it.")
    }

    /// Throws `invalidArgument` for the first setting that is outside its range.
    public func validate() throws(WeirError) {
        try validate(segmentBytesMin: Limits.segmentBytesMin)
        try retention?.validateNames()
    }

    package func validate(segmentBytesMin: Int) throws(WeirError) {
        try StreamConfiguration.expect(
            (segmentBytesMin...Limits.segmentBytesMax).contains(segmentBytes), "segment size",
            segmentBytes, "\(segmentBytesMin) to \(Limits.segmentBytesMax) bytes")
        try StreamConfiguration.expect(
            (1024...Limits.batchBytesMax).contains(batchBytesMax), "batch limit",
            batchBytesMax, "1024 to \(Limits.batchBytesMax) bytes")
        try StreamConfiguration.expect(
            batchBytesMax <= segmentBytes / 2, "batch limit", batchBytesMax,
            "at most half of the segment size, \(segmentBytes / 2) bytes")
        try StreamConfiguration.expect(
            commitAlignment == 8 || commitAlignment == 4096, "commit alignment",
            commitAlignment, "8 or 4096")
        try StreamConfiguration.expect(
            (0...1000).contains(lingerMicroseconds), "linger", lingerMicroseconds,
            "0 to 1000 microseconds")
        if case .interval(let milliseconds) = durability {
            try StreamConfiguration.expect(
                (1...3_600_000).contains(milliseconds), "sync interval", Int(milliseconds),
                "1 to 3600000 milliseconds")
        }
        if let compaction { try StreamConfiguration.validate(compaction) }
        try retention?.validate()
        try quota?.validate()
        try StreamConfiguration.expect(
            indexedHeaders.count <= Limits.indexedHeadersMax, "number of indexed headers",
            indexedHeaders.count, "at most \(Limits.indexedHeadersMax)")
        for name in indexedHeaders {
            try StreamConfiguration.expect(
                (1...Limits.indexedHeaderNameBytesMax).contains(name.utf8.count),
                "name of an indexed header", name.utf8.count,
                "1 to \(Limits.indexedHeaderNameBytesMax) bytes")
        }
    }

    private static func validate(_ policy: CompactionPolicy) throws(WeirError) {
        try expect(
            (1...100).contains(policy.dirtyPercent), "dirty ratio", policy.dirtyPercent,
            "1 to 100 percent")
        for (what, seconds) in [
            ("minimum lag of compaction", policy.lagSecondsMin),
            ("delay of tombstones", policy.tombstoneSecondsMin),
        ] {
            try expect(
                (0...Limits.upkeepSecondsMax).contains(seconds), what, seconds,
                "0 to \(Limits.upkeepSecondsMax) seconds")
        }
    }

    static func expect(
        _ holds: Bool, _ what: String, _ found: Int, _ expected: String
    ) throws(WeirError) {
        if !holds {
            throw WeirError(.invalidArgument, "The \(what) is \(found); expected \(expected).")
        }
    }
}
