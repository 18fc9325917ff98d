import GRDB
package import WeirBase

/// Entries in any order, as a number: two collections that come to the same are the same, but for
/// an accident.
package struct KeyDigest: Sendable, Hashable {
    package private(set) var count = 0
    private var sum: UInt64 = 0

    package init() {}

    package mutating func add(_ entry: KeyEntry) {
        var checksum = IndexChecksum()
        checksum.add(entry.hash)
        checksum.add(entry.offset.value)
        sum &+= checksum.value
        count += 1
    }
}

/// Entries added up by the part of the log that they are of.
///
///     bounds    | b0 ──── | b1 ──── | b2 ────…         a part begins at each; what is before b0
///     digests     d0        d1        d2               is left out
package struct PartDigests: Sendable {
    package let bounds: [Offset]
    package private(set) var digests: [KeyDigest]

    /// `bounds` rise.
    package init(bounds: [Offset]) {
        self.bounds = bounds
        self.digests = Array(repeating: KeyDigest(), count: bounds.count)
    }

    package var count: Int { digests.reduce(0) { $0 + $1.count } }

    package mutating func add(_ entry: KeyEntry) {
        let next = bounds.partitionIndex { $0 > entry.offset }
        if next > 0 { digests[next - 1].add(entry) }
    }
}

/// All that an index says of a stream.
package struct IndexContent: Sendable {
    package var covered: Range<Offset>
    /// Offsets of which it says that they could not be read.
    package var unread: [Range<Offset>]
    package var parts: PartDigests
}

extension IndexReader {
    /// Whether SQLite finds its own tables whole, and each run its checksum. Throws `damaged`.
    package func expectWhole() throws(WeirError) {
        try connection.read { database in
            let found = try String.fetchOne(database, sql: "PRAGMA quick_check(1)") ?? "nothing"
            guard found == "ok" else {
                throw WeirError.damaged("SQLite says of the index's own tables: \(found)")
            }
            _ = try IndexSchema.runs(of: nil, in: database)
        }
    }

    /// Everything that is said of a stream's offsets, in parts, each leaf proven; `nil` where
    /// nothing is. Throws `damaged`. Costs a walk over all of the stream's entries.
    package func content(
        of stream: StreamID, in bounds: [Offset]
    ) throws(WeirError) -> IndexContent? {
        try connection.read { database in
            let runs = try IndexSchema.runs(of: stream, in: database)
            guard let first = runs.first, let last = runs.last else { return nil }
            var found = IndexContent(
                covered: first.first..<last.end,
                unread: runs.filter(\.isUnread).map { $0.first..<$0.end },
                parts: PartDigests(bounds: bounds))
            let finder = try LeafFinder(database)
            for run in runs where !run.isUnread {
                var count = 0
                var low = KeyEntry.least
                while low < .beyond {
                    let leaf = try finder.leaf(of: run, holding: low)
                    for index in 0..<leaf.count { found.parts.add(leaf[index]) }
                    count += leaf.count
                    low = leaf.high
                }
                guard count == run.entryCount else { throw run.incomplete }
            }
            return found
        }
    }
}
