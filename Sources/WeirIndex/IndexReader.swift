import GRDB
package import WeirBase

/// Where the records of a key are, as far as the index knows.
package enum KeyAnswer: Sendable, Hashable {
    /// All offsets before `upTo` of records whose key has the hash, from the asked one on.
    case offsets([Offset], upTo: Offset)
    /// The index says nothing of the offsets before this one; `nil`: of none to the stream's end.
    case unknown(upTo: Offset?)
}

/// The reading end of an index: any number, in any process, beside the writer.
///
/// Whatever it answers was proven by checksums and is complete. It is where the records *were*:
/// the caller looks there and compares the key, since two keys may share a hash.
package final class IndexReader: Sendable {
    private let connection: IndexConnection

    /// Opens an index of a store. Throws `damaged` if it is none of this store and version.
    ///
    /// `isFrozen`: no writer is there, so nothing beside the file is looked at or made.
    package init(path: String, store: StoreID, isFrozen: Bool) throws(WeirError) {
        let connection = try IndexConnection(path: path, isReadOnly: true, isFrozen: isFrozen)
        do throws(WeirError) {
            let found = try connection.read { try IndexSchema.identity(in: $0) }
            guard found.store == store else {
                throw WeirError.damaged(
                    "The index is of store \(found.store); expected \(store).",
                    path: connection.path)
            }
        } catch {
            try connection.close()
            throw error
        }
        self.connection = connection
    }

    /// Which offsets of a stream are covered; `nil` if none are. Throws `damaged`.
    package func coverage(of stream: StreamID) throws(WeirError) -> Range<Offset>? {
        let rows = try connection.read { try IndexSchema.runs(of: stream, in: $0) }
        guard let first = rows.first, let last = rows.last else { return nil }
        return first.first..<last.end
    }

    /// Entries of a stream's keys, and in how many runs they are.
    package func counts(of stream: StreamID) throws(WeirError) -> (entries: Int, runs: Int) {
        let rows = try connection.read { try IndexSchema.runs(of: stream, in: $0) }
        return (rows.reduce(0) { $0 + $1.entryCount }, rows.count)
    }

    /// The opening of the store that wrote the file last. Throws `damaged`.
    package func owner() throws(WeirError) -> IndexIdentity {
        try connection.read { try IndexSchema.owner(in: $0) }
    }

    /// The offsets, from `start` on, of records whose key has a hash: about `limit` at once.
    ///
    /// Nothing is known if not `owner` wrote the file last: power loss may have taken records that
    /// an earlier opening had indexed, and a later one put others in their places.
    /// Throws `damaged` where anything does not hold that the answer would rest on.
    package func offsets(
        of hash: UInt64, in stream: StreamID, from start: Offset, limit: Int,
        writtenBy owner: IndexIdentity
    ) throws(WeirError) -> KeyAnswer {
        try connection.read { database in
            guard try IndexSchema.owner(in: database) == owner else {
                return .unknown(upTo: nil)
            }
            let rows = try IndexSchema.runs(of: stream, in: database)
            let next = rows.partitionIndex { $0.end > start }
            guard next < rows.count else { return .unknown(upTo: nil) }
            let run = rows[next]
            if run.first > start { return .unknown(upTo: run.first) }
            if run.isUnread { return .unknown(upTo: run.end) }
            var found: [Offset] = []
            for run in rows[next...] {
                if run.isUnread { return .offsets(found, upTo: run.first) }
                let upTo = try Self.collect(
                    hash, from: max(start, run.first), run, limit: limit, into: &found, database)
                if upTo < run.end || found.count >= limit { return .offsets(found, upTo: upTo) }
            }
            return .offsets(found, upTo: rows[rows.count - 1].end)
        }
    }

    /// Adds a run's offsets of a hash, and says up to where they are complete.
    private static func collect(
        _ hash: UInt64, from start: Offset, _ run: RunRow, limit: Int,
        into found: inout [Offset], _ database: Database
    ) throws -> Offset {
        let leafOf = try SQLStatement(
            database,
            """
            SELECT low, high, entries, checksum FROM leaves
            WHERE stream = ? AND run = ? AND low <= ? ORDER BY low DESC LIMIT 1
            """)
        var wanted = KeyEntry(hash: hash, offset: start)
        while true {
            var leaf: KeyLeaf?
            try leafOf.rows(
                .number(run.stream.value), .number(run.first.value), .bytes(wanted.orderBytes)
            ) { row in
                leaf = try row.leaf(of: run)
                return false
            }
            guard let leaf, leaf.low <= wanted, wanted < leaf.high else {
                throw WeirError.damaged(
                    "Keys of offsets from \(run.first) to before \(run.end) are missing from the "
                        + "index.")
            }
            let from = leaf.entries.partitionIndex { $0 >= wanted }
            for entry in leaf.entries[from...] where entry.hash == hash {
                found.append(entry.offset)
            }
            guard leaf.high.hash == hash else { return run.end }
            if leaf.high == .beyond { return run.end }
            if found.count >= limit { return leaf.high.offset }
            wanted = leaf.high
        }
    }

    package func close() throws(WeirError) { try connection.close() }
}

extension Array {
    /// The first index whose element satisfies a condition that no element before it does.
    func partitionIndex(where holds: (Element) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if holds(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
