/// How many bytes a stream, or a whole store, may take up on the disk, and what appends do that
/// find no room.
public struct Quota: Sendable, Hashable {
    /// What an append does.
    public enum Policy: String, Sendable, Hashable, CaseIterable {
        /// It waits until retention, a trim or compaction made room, as long as the producer
        /// policy lets it; then it throws `noSpace`.
        case wait
        /// It throws `noSpace` at once.
        case failFast = "fail"
    }

    /// Bytes of the files of the stream, or of all streams, sealed and active: 1 to 2^60.
    public var bytesMax: Int
    public var policy: Policy

    public init(bytesMax: Int, policy: Policy = .failFast) {
        self.bytesMax = bytesMax
        self.policy = policy
    }

    package func validate() throws(WeirError) {
        try StreamConfiguration.expect(
            (1...Limits.retentionMax).contains(bytesMax), "quota", bytesMax,
            "1 to \(Limits.retentionMax) bytes")
    }
}
