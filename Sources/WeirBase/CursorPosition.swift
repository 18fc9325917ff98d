/// Where a named consumer of a stream stands: everything below the offset is processed.
///
/// The epoch is that of the store's opening in which the position was committed: the records below
/// it were there then. Where a later epoch began at a smaller offset, power loss took what lay
/// between, and the position is moved back to there.
public struct CursorPosition: Sendable, Hashable, CustomStringConvertible {
    public let epoch: Epoch
    /// The next record wanted.
    public let offset: Offset

    public init(epoch: Epoch, offset: Offset) {
        self.epoch = epoch
        self.offset = offset
    }

    public var description: String { "offset \(offset) of epoch \(epoch)" }
}
