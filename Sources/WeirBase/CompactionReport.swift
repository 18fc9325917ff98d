/// What a compaction is doing.
public enum CompactionPhase: String, Sendable, Hashable, Codable {
    /// Reading keys, to find out which records are of no more use.
    case looking
    /// Writing what is kept into new segments.
    case rewriting
}

/// What a compaction found and did.
public struct CompactionReport: Sendable, Hashable, Codable {
    /// A segment that is damaged. One that was set aside was left as it is because some of its
    /// bytes do not hold or cannot be read, and is tried again at the next compaction.
    public struct SetAside: Sendable, Hashable, Codable {
        public var path: String
        public var offsets: Range<UInt64>
        public var detail: String

        public init(path: String, offsets: Range<UInt64>, detail: String) {
            self.path = path
            self.offsets = offsets
            self.detail = detail
        }
    }

    public var stream: String
    /// Whether only the plan was made.
    public var isDryRun = false
    /// Sealed segments that were looked at, and the bytes of their files.
    public var segmentsBefore = 0
    public var bytesBefore: UInt64 = 0
    /// The same afterwards; of a dry run, as far as it can be known.
    public var segmentsAfter = 0
    public var bytesAfter: UInt64 = 0
    /// Segments that were, or would be, written anew, and what that wrote.
    public var segmentsRewritten = 0
    public var bytesWritten: UInt64 = 0
    public var bytesRead: UInt64 = 0
    public var recordsBefore: UInt64 = 0
    public var recordsRemoved: UInt64 = 0
    /// Among these: such whose delay was over, and such that a later record superseded.
    public var tombstonesRemoved: UInt64 = 0
    /// Keys that differ, among the records that were looked at.
    public var keys: UInt64 = 0
    /// Records whose key alone is larger than the map of keys: they stay.
    public var recordsWithLongKeys: UInt64 = 0
    /// How often the keys were read, since the map of them is bounded.
    public var passes = 0
    public var seconds = 0.0
    public var setAside: [SetAside] = []
    /// Segments whose header or footer did not hold, and all of whose records did: they were, or
    /// would be, written anew.
    public var mended: [SetAside] = []

    public init(stream: String) { self.stream = stream }

    /// Bytes written for each byte that was looked at.
    public var writeAmplification: Double {
        bytesBefore == 0 ? 0 : Double(bytesWritten) / Double(bytesBefore)
    }
}
