/// What makes a stream one of several that belong together: which group, which of them, of how
/// many.
///
/// It is part of the stream's configuration, and so stands in its manifest and in the header of
/// each of its segments: a group survives the loss of any one of these.
public struct Partition: Sendable, Hashable {
    /// The partitioned stream's name.
    public let group: StreamName
    /// Counted from 0.
    public let index: Int
    public let count: Int

    /// Throws `invalidArgument` where there is no such partition.
    package init(of group: StreamName, index: Int, count: Int) throws(WeirError) {
        try Partition.validate(count: count)
        guard (0..<count).contains(index) else {
            throw WeirError(
                .invalidArgument,
                "Partition \(index) of \(count) is asked for in \(group); expected 0 to "
                    + "\(count - 1).")
        }
        self.group = group
        self.index = index
        self.count = count
    }

    /// The name that the partition's stream bears: `orders-3`.
    package var streamName: StreamName {
        get throws(WeirError) { try Partition.streamName(of: group, index: index) }
    }

    /// Throws `invalidArgument` where it would be too long.
    package static func streamName(
        of group: StreamName, index: Int
    ) throws(WeirError) -> StreamName {
        try StreamName("\(group)-\(index)", what: "partition")
    }

    package static func validate(count: Int) throws(WeirError) {
        guard (1...Limits.partitionsMax).contains(count) else {
            throw WeirError(
                .invalidArgument,
                "The number of partitions is \(count); expected 1 to \(Limits.partitionsMax).")
        }
    }
}
