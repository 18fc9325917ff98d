/// When and how a stream is compacted: of each key the latest record is kept.
///
/// Records without a key stay, and so does every record whose key nothing newer has. A tombstone (a
/// key without a value) is a key's latest record, too; it goes once it is older than its delay and
/// nothing that it hides is left.
public struct CompactionPolicy: Sendable, Hashable {
    /// How much of the sealed bytes must be new before compaction looks at the stream, and how much
    /// of a segment must be of no more use before it is rewritten: 1 to 100 percent.
    public var dirtyPercent: Int
    /// Records younger than this many seconds are left alone, so that consumers who are no further
    /// behind see every record.
    public var lagSecondsMin: Int
    /// How long a tombstone stays, in seconds since it was appended, so that consumers see it.
    public var tombstoneSecondsMin: Int

    public init(
        dirtyPercent: Int = 50, lagSecondsMin: Int = 0, tombstoneSecondsMin: Int = 86_400
    ) {
        self.dirtyPercent = dirtyPercent
        self.lagSecondsMin = lagSecondsMin
        self.tombstoneSecondsMin = tombstoneSecondsMin
    }
}
