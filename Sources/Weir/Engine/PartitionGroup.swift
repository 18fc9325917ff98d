package import WeirBase

/// What is there of a partitioned stream, and what is to be done about it. Decides over names and
/// settings; the engine performs.
///
///     made   0 ✓  1 ✓  2 ·  3 ·     a crash in the middle: making it again completes it
///     whole  0 ✓  1 ✓  2 ✓  3 ✓
///     lost   0 ✓  1 ·  2 ✓  3 ✓     and there are records: refused, as 1 may have had some
package struct PartitionGroup: Sendable, Hashable {
    /// A stream whose configuration says that it is a partition of the group.
    package struct Member: Sendable, Hashable {
        package let name: StreamName
        package let partition: Partition
        package let isEmpty: Bool

        package init(name: StreamName, partition: Partition, isEmpty: Bool) {
            self.name = name
            self.partition = partition
            self.isEmpty = isEmpty
        }
    }

    package enum Making: Sendable, Hashable {
        /// It is whole already.
        case done
        /// The partitions of these numbers are to be made.
        case make([Int])
    }

    package let name: StreamName
    package let members: [Member]

    /// Members in any order.
    package init(_ name: StreamName, members: [Member]) {
        self.name = name
        self.members = members.sorted { $0.partition.index < $1.partition.index }
    }

    /// What its partitions say; `nil` without any.
    package var count: Int? { members.first?.partition.count }

    /// The numbers of those that are not there.
    package var missing: [Int] {
        let found = Set(members.map(\.partition.index))
        return (0..<(count ?? 0)).filter { !found.contains($0) }
    }

    /// Throws `damaged` unless every partition is there once and all say the same.
    package func expectWhole() throws(WeirError) {
        try expectConsistent()
        guard let first = missing.first, let count else { return }
        let isUnused = members.allSatisfy(\.isEmpty)
        let remedy =
            isUnused
            ? "None of the others has a record: make it again, which completes it."
            : "Restore the store from a copy, read the others one by one, or delete it."
        throw failure(
            "\(missing.count) of the \(count) partitions of \(name) "
                + "\(missing.count == 1 ? "is" : "are") missing, "
                + "\(name)-\(first) the first of them. \(remedy)"
        )
    }

    /// What is to be made so that there are `wanted` partitions.
    ///
    /// Throws `invalidArgument` where it has another number of them, `damaged` where one is missing
    /// that may have had records.
    package func making(_ wanted: Int) throws(WeirError) -> Making {
        guard let count else { return .make(Array(0..<wanted)) }
        try expectConsistent()
        guard count == wanted else {
            throw WeirError(
                .invalidArgument,
                "\(name) has \(count) partitions and \(wanted) were asked for; their number stays "
                    + "as it was made, since keys would move otherwise.")
        }
        if missing.isEmpty { return .done }
        // Nobody appends to a group before it is whole, so a record means that there was more.
        guard members.allSatisfy(\.isEmpty) else {
            try expectWhole()
            return .done
        }
        return .make(missing)
    }

    private func expectConsistent() throws(WeirError) {
        for member in members {
            let expected = try member.partition.streamName
            guard member.name == expected else {
                throw failure(
                    "The stream \(member.name) says that it is partition "
                        + "\(member.partition.index) of \(name), whose name would be \(expected); "
                        + "restore the store from a copy, or delete \(name).")
            }
            guard let first = members.first, member.partition.count != first.partition.count else {
                continue
            }
            throw failure(
                "The partitions of \(name) contradict each other: \(first.name) is one of "
                    + "\(first.partition.count), \(member.name) one of \(member.partition.count); "
                    + "restore the store from a copy, or delete \(name).")
        }
    }

    private func failure(_ message: String) -> WeirError {
        WeirError(.damaged, message, at: .init(stream: name.description))
    }
}
