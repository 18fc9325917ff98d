import Logging
public import WeirBase
import WeirFiles
import WeirLog

/// A partitioned stream as the store lists it, whole or not.
public struct PartitionedStreamEntry: Sendable, Hashable {
    public let name: StreamName
    /// How many there should be.
    public let partitionCount: Int
    /// The streams that are there, in the order of their numbers.
    public let partitions: [StreamName]

    public var isWhole: Bool { partitions.count == partitionCount }
}

extension Store {
    /// The partitioned streams, sorted by name; those with partitions missing among them.
    public var partitionedStreams: [PartitionedStreamEntry] {
        engine.groups.map {
            PartitionedStreamEntry(
                name: $0.name, partitionCount: $0.count ?? 0, partitions: $0.members.map(\.name))
        }
    }

    /// A partitioned stream by its name; made with the given settings if there is none.
    ///
    /// Each partition that is made survives power loss. A crash in the middle leaves some of them;
    /// asking again completes the group, with the settings of those that are there. Once it is
    /// whole, settings stay as they are.
    ///
    /// Throws `notFound` where there is none and `creating` is nil, `invalidArgument` for a bad
    /// name or setting and for another number of partitions than there are, `alreadyExists` where a
    /// name belongs to another stream, `damaged` where a partition is missing that may have had
    /// records, or partitions contradict each other. Making one costs two syncs a partition.
    public func partitionedStream(
        _ name: String, creating configuration: PartitionedConfiguration? = nil
    ) async throws -> PartitionedStream {
        let name = try StreamName(name)
        return try await waiters.call { () throws(WeirError) in
            try self.openPartitioned(name, creating: configuration)
        }
    }

    /// As `partitionedStream`, and blocks the thread.
    public func partitionedStreamBlocking(
        _ name: String, creating configuration: PartitionedConfiguration? = nil
    ) throws(WeirError) -> PartitionedStream {
        try openPartitioned(try StreamName(name), creating: configuration)
    }

    /// The same with settings that a partitioned stream has had, as an archive or a copy brings
    /// them: what could be set when they were made may be.
    package func partitionedStreamBlocking(
        _ name: String, copying configuration: PartitionedConfiguration
    ) throws(WeirError) -> PartitionedStream {
        try openPartitioned(try StreamName(name), creating: configuration, isCopy: true)
    }

    /// Makes a partitioned stream, or completes one whose making a crash interrupted. Blocks the
    /// thread. Throws `alreadyExists` if there is one already, and as `partitionedStream`.
    public func createPartitionedStreamBlocking(
        _ name: String, _ configuration: PartitionedConfiguration
    ) throws(WeirError) {
        let name = try StreamName(name)
        try configuration.validate()
        guard try create(name, configuration) else {
            throw WeirError(
                .alreadyExists,
                "The partitioned stream \(name) exists already; choose another name.",
                at: .init(stream: name.description))
        }
    }

    /// Removes a partitioned stream with all its partitions, their records and cursors, for ever.
    ///
    /// Works on one with partitions missing too. A crash in the middle leaves some; delete again.
    /// Throws `notFound`, and why a partition cannot be opened: that one is deleted by its own
    /// name.
    public func deletePartitionedStream(_ name: String) async throws {
        try await waiters.call { () throws(WeirError) in
            try self.deletePartitionedStreamBlocking(name)
        }
    }

    /// As `deletePartitionedStream`, and blocks the thread.
    public func deletePartitionedStreamBlocking(_ name: String) throws(WeirError) {
        let name = try StreamName(name)
        let ids = engine.partitions(claiming: name).map { (id: $0.id, name: $0.name) }
        defer {
            flow.recountQuota(engine)
            // A deletion that failed half way has taken some of them.
            let left = Set(engine.partitions(claiming: name).map(\.id))
            for (id, partition) in ids where !left.contains(id) {
                forgetCursors(of: id, called: partition)
            }
        }
        try engine.deletePartitions(of: name) { partition in
            let (group, stream) = state.withLock { state in
                (
                    state.groups.removeValue(forKey: name),
                    state.streams.removeValue(forKey: partition)
                )
            }
            stream?.drain(Self.deleted(partition))
            group?.finishGroups(Self.deleted(name))
        }
        logger.debug("deleted partitioned stream \(name)")
    }

    private func create(
        _ name: StreamName, _ configuration: PartitionedConfiguration
    ) throws(WeirError) -> Bool {
        try Self.expectUserName(name)
        return try engine.createPartitions(
            name, count: configuration.partitions, configuration.stream)
    }

    private func openPartitioned(
        _ name: StreamName, creating configuration: PartitionedConfiguration?,
        isCopy: Bool = false
    ) throws(WeirError) -> PartitionedStream {
        if state.withLock({ $0.isClosed }) { throw Self.closed() }
        // A reader makes nothing, and finds what there is.
        let isThere = engine.isReadOnly && !engine.partitions(claiming: name).isEmpty
        if let configuration, !isThere {
            try configuration.validate(isCopy: isCopy)
            if try create(name, configuration) {
                logger.debug("created partitioned stream \(name)")
            }
        }
        return try engine.exclusively { () throws(WeirError) in
            let open = try engine.partitions(of: name)
            if let known = state.withLock({ $0.groups[name] }) { return known }
            var partitions: [LogStream] = []
            for partition in open { partitions.append(try takeUp(partition.name)) }
            let stream = PartitionedStream(name, partitions)
            state.withLock { if !$0.isClosed { $0.groups[name] = stream } }
            return stream
        }
    }
}
