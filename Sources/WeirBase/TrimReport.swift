/// What retention or a trim let go.
public struct TrimReport: Sendable, Hashable, Codable {
    public var stream: String
    /// Whether only the plan was made.
    public var isDryRun = false
    /// The first offset that the stream had, and the one that it has now.
    public var firstOffsetBefore: UInt64 = 0
    public var firstOffset: UInt64 = 0
    /// Segments that went, and the bytes of their files: these are free once nobody reads them.
    public var segmentsRemoved = 0
    public var bytesRemoved: UInt64 = 0
    /// The cursor that holds back, or held back, what the stream's policy lets go.
    public var heldBy: String?
    /// Bytes of the files that stay for such cursors; `nil` from a writer that does not tell.
    public var heldBytes: UInt64?
    /// Records went that this cursor has not committed: more was held back than the policy allows.
    public var isForced = false

    public init(stream: String) { self.stream = stream }
}
