import WeirBase
import WeirFiles
import WeirFormat
import WeirLog

/// Partitioned streams: groups of streams whose configurations say so, and nothing else.
extension StoreEngine {
    /// The streams that say they are partitions of a group, by their numbers.
    package func partitions(claiming group: StreamName) -> [OpenStream] {
        streams { $0.configuration.partition?.group == group }.sorted {
            ($0.configuration.partition?.index ?? 0) < ($1.configuration.partition?.index ?? 0)
        }
    }

    /// The names of these, of whatever somebody names.
    func partitionNames(of group: String) -> [String] {
        do throws(WeirError) {
            return partitions(claiming: try StreamName(group)).map(\.name.description)
        } catch {
            return []
        }
    }

    /// All partitioned streams, whole or not, by their names.
    package var groups: [PartitionGroup] {
        var members: [StreamName: [OpenStream]] = [:]
        for stream in streams(where: { $0.configuration.partition != nil }) {
            guard let partition = stream.configuration.partition else { continue }
            members[partition.group, default: []].append(stream)
        }
        return members.map { PartitionGroup($0.key, of: $0.value) }.sorted {
            $0.name.description < $1.name.description
        }
    }

    /// The partitions of a group, in the order of their numbers.
    ///
    /// Throws `notFound` where there is no such group, `damaged` for one that is not whole, and why
    /// a partition could not be opened.
    package func partitions(of name: StreamName) throws(WeirError) -> [OpenStream] {
        let found = partitions(claiming: name)
        guard !found.isEmpty else {
            guard stream(name) == nil else {
                throw WeirError(
                    .notFound,
                    "\(name) is a stream that stands alone, and no partitioned one; name one of "
                        + "those (in Swift, `stream` opens this one).",
                    at: .init(stream: name.description))
            }
            throw noStream(name)
        }
        let group = PartitionGroup(name, of: found)
        try expectReadable(group)
        try group.expectWhole()
        return found
    }

    /// Makes a partitioned stream, or what a crash left out of it. `false` if it was whole already.
    ///
    /// Partitions that are there keep their settings, and the others are made with the same. Each
    /// of them survives power loss when it is made; the group is of use when all are.
    package func createPartitions(
        _ name: StreamName, count: Int, _ configuration: StreamConfiguration
    ) throws(WeirError) -> Bool {
        guard !isReadOnly else { throw Self.readOnly() }
        try Partition.validate(count: count)
        // The longest of them.
        _ = try Partition.streamName(of: name, index: count - 1)
        return try exclusively { () throws(WeirError) in
            try expectFree(name)
            let found = partitions(claiming: name)
            let group = PartitionGroup(name, of: found)
            try expectReadable(group)
            guard case .make(let missing) = try group.making(count) else { return false }
            var wanted: [(name: StreamName, partition: Partition)] = []
            for index in missing {
                let partition = try Partition(of: name, index: index, count: count)
                let name = try partition.streamName
                // All are looked at before the first one is made.
                try expectFree(name, for: partition)
                wanted.append((name, partition))
            }
            let settings = found.first?.configuration ?? configuration
            for (name, partition) in wanted {
                try createAlone(name, settings.placed(in: partition))
            }
            return true
        }
    }

    /// Removes all partitions of a group that are there. After a crash in the middle the rest is
    /// refused to readers and can be deleted again.
    package func deletePartitions(
        of name: StreamName, draining: (StreamName) -> Void = { _ in }
    ) throws(WeirError) {
        guard !isReadOnly else { throw Self.readOnly() }
        try exclusively { () throws(WeirError) in
            let found = partitions(claiming: name)
            guard !found.isEmpty else { throw noStream(name) }
            try expectReadable(PartitionGroup(name, of: found))
            for stream in found { try deleteAlone(stream.name) { draining(stream.name) } }
        }
    }

    // MARK: whose a name is

    func expectNoGroup(_ name: StreamName) throws(WeirError) {
        guard let first = partitions(claiming: name).first else { return }
        throw WeirError(
            .alreadyExists,
            "\(name) is a partitioned stream already, of which \(first.name) is a part; choose "
                + "another name.", at: .init(stream: name.description))
    }

    /// Of a stream that somebody makes by its name: `trips-9` beside the partitions `trips-0` to
    /// `trips-3` is a slip, and what is appended to it `trips` would never show.
    package func expectNoFurtherPartition(_ name: StreamName) throws(WeirError) {
        let text = name.description
        let digits = text.reversed().prefix { $0.isNumber }.count
        let group = text.dropLast(digits + 1)
        guard digits > 0, text.dropLast(digits).last == "-", !group.isEmpty,
            let first = partitions(claiming: try StreamName(String(group))).first,
            let count = first.configuration.partition?.count
        else { return }
        throw WeirError(
            .invalidArgument,
            "\(name) would be a stream of its own, which \(group) never shows: its \(count) "
                + "partitions are \(group)-0 to \(group)-\(count - 1). Name \(group) or one of "
                + "them, or choose another name.",
            at: .init(stream: text))
    }

    func expectNoPartition(_ name: StreamName) throws(WeirError) {
        guard let partition = stream(name)?.configuration.partition else { return }
        throw WeirError(
            .invalidArgument,
            "\(name) is partition \(partition.index) of \(partition.group) and cannot be deleted "
                + "alone; delete \(partition.group), which deletes all its partitions.",
            at: .init(stream: name.description))
    }

    private func expectFree(
        _ name: StreamName, for partition: Partition? = nil
    ) throws(WeirError) {
        if let failure = failure(of: name) { throw failure.error }
        guard let found = stream(name) else { return }
        let what: String =
            if let owner = found.configuration.partition {
                "partition \(owner.index) of \(owner.group)"
            } else {
                "a stream that stands alone"
            }
        let wanted = partition.map { "partition \($0.index) of \($0.group)" }
        throw WeirError(
            .alreadyExists,
            "The name \(name) is needed for \(wanted ?? "a partitioned stream") and belongs to "
                + "\(what); choose another name.", at: .init(stream: name.description))
    }

    /// A partition that could not be opened is there, and is not to be taken for a missing one.
    private func expectReadable(_ group: PartitionGroup) throws(WeirError) {
        for index in group.missing {
            let name = try Partition.streamName(of: group.name, index: index)
            guard let failure = failure(of: name) else { continue }
            throw WeirError(
                failure.error.code,
                "Partition \(name) of \(group.name) cannot be opened: \(failure.error.message) To "
                    + "give it up, delete the stream \(name).",
                at: .init(stream: name.description), cause: failure.error.cause)
        }
    }
}

extension PartitionGroup {
    init<Files: FileSystem>(_ name: StreamName, of streams: [StoreEngine<Files>.OpenStream]) {
        self.init(
            name,
            members: streams.compactMap { stream in
                stream.configuration.partition.map {
                    Member(
                        name: stream.name, partition: $0,
                        isEmpty: stream.view.flushedEnd == .zero)
                }
            })
    }
}
