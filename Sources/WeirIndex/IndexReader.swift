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
    /// The opening of the store that had written the file last when this one opened it.
    package let owner: IndexIdentity
    let connection: IndexConnection
    private let known = Lock(Known())

    /// Runs as they stood in a version of the file.
    private struct Known {
        var version: UInt64?
        var rows: [StreamID: [RunRow]] = [:]
    }

    /// Opens an index of a store. Throws `damaged` if it is none of this store and version.
    ///
    /// `isFrozen`: no writer is there, so nothing beside the file is looked at or made.
    package init(path: String, store: StoreID, isFrozen: Bool) throws(WeirError) {
        let connection = try IndexConnection(path: path, isReadOnly: true, isFrozen: isFrozen)
        do throws(WeirError) {
            owner = try connection.read { database in
                // No damage: the transaction that makes it an index is not there yet.
                guard try IndexSchema.number("PRAGMA application_id", in: database) != 0 else {
                    throw WeirError(.system, "The index is being made.")
                }
                return try IndexSchema.identity(in: database)
            }
            guard owner.store == store else {
                throw WeirError.damaged(
                    "The index is of store \(owner.store); expected \(store).",
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
        let rows = try connection.read { try runs(of: stream, in: $0) }
        guard let first = rows.first, let last = rows.last else { return nil }
        return first.first..<last.end
    }

    /// Entries of a stream's keys, and in how many runs they are.
    package func counts(of stream: StreamID) throws(WeirError) -> (entries: Int, runs: Int) {
        let rows = try connection.read { try runs(of: stream, in: $0) }
        return (rows.reduce(0) { $0 + $1.entryCount }, rows.count)
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
            let rows = try runs(of: stream, in: database)
            let next = rows.partitionIndex { $0.end > start }
            guard next < rows.count else { return .unknown(upTo: nil) }
            let run = rows[next]
            if run.first > start { return .unknown(upTo: run.first) }
            if run.isUnread { return .unknown(upTo: run.end) }
            let finder = try LeafFinder(database)
            var found: [Offset] = []
            for run in rows[next...] {
                if run.isUnread { return .offsets(found, upTo: run.first) }
                let upTo = try Self.collect(
                    hash, from: max(start, run.first), run, limit: limit, into: &found, finder)
                if upTo < run.end || found.count >= limit { return .offsets(found, upTo: upTo) }
            }
            return .offsets(found, upTo: rows[rows.count - 1].end)
        }
    }

    /// A stream's runs, read again only when the file has changed since.
    private func runs(of stream: StreamID, in database: Database) throws -> [RunRow] {
        // Asked inside the transaction: of the state that it reads.
        let version = try IndexSchema.number("PRAGMA data_version", in: database)
        let kept = known.withLock { $0.version == version ? $0.rows[stream] : nil }
        if let kept { return kept }
        let rows = try IndexSchema.runs(of: stream, in: database)
        known.withLock { known in
            if known.version != version { known = Known(version: version) }
            known.rows[stream] = rows
        }
        return rows
    }

    /// Adds a run's offsets of a hash, and says up to where they are complete.
    private static func collect(
        _ hash: UInt64, from start: Offset, _ run: RunRow, limit: Int,
        into found: inout [Offset], _ finder: LeafFinder
    ) throws -> Offset {
        var wanted = KeyEntry(hash: hash, offset: start)
        while true {
            let leaf = try finder.leaf(of: run, holding: wanted)
            var index = leaf.firstIndex(notBefore: wanted)
            while index < leaf.count, leaf[index].hash == hash {
                found.append(leaf[index].offset)
                index += 1
            }
            guard leaf.high.hash == hash else { return run.end }
            if leaf.high == .beyond { return run.end }
            if found.count >= limit { return leaf.high.offset }
            wanted = leaf.high
        }
    }

    package func close() throws(WeirError) { try connection.close() }
}
