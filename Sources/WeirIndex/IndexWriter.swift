import GRDB
package import WeirBase

/// The writing end of an index: one a store, used by one thread.
///
/// Everything that it writes can be made anew from the log, so it syncs nothing of its own accord:
/// what a crash takes is indexed again.
package final class IndexWriter {
    private let connection: IndexConnection
    private let identity: IndexIdentity
    private var runs: [StreamID: [RunRow]] = [:]

    /// Makes an empty file that exists an index.
    package static func create(
        path: String, _ identity: IndexIdentity
    ) throws(WeirError) -> IndexWriter {
        let connection = try IndexConnection(path: path, isReadOnly: false)
        try connection.write { try IndexSchema.create(in: $0, identity) }
        return IndexWriter(connection, identity, runs: [:])
    }

    /// Opens an index for the opening of the store that `identity` names.
    ///
    /// Throws `damaged` if it is no index, of another version or store, was not written by
    /// `previous`, the opening before this one, or does not hold together; then it is to be thrown
    /// away. What is `stale`, as it covers what the log no longer has, is forgotten in the same
    /// transaction that says whose the index is now: readers believe the rest from then on.
    package static func open(
        path: String, _ identity: IndexIdentity, after previous: IndexIdentity,
        forgetting stale: (StreamID, Range<Offset>) -> Bool
    ) throws(WeirError) -> IndexWriter {
        let connection = try IndexConnection(path: path, isReadOnly: false)
        do throws(WeirError) {
            let runs = try connection.write { database in
                let found = try IndexSchema.identity(in: database)
                guard found == previous else {
                    throw WeirError.damaged(
                        "The index is of store \(found.store) and its epoch \(found.epoch) from "
                            + "\(found.opened); expected store \(previous.store) and epoch "
                            + "\(previous.epoch) from \(previous.opened).")
                }
                try IndexSchema.write(identity, in: database)
                let runs = Self.byStream(try IndexSchema.runs(of: nil, in: database))
                let kept = runs.filter { !stale($0, Self.coverage($1)) }
                for stream in runs.keys where kept[stream] == nil {
                    try forget(stream, in: database)
                }
                return kept
            }
            return IndexWriter(connection, identity, runs: runs)
        } catch {
            try connection.close()
            throw error
        }
    }

    private init(
        _ connection: IndexConnection, _ identity: IndexIdentity, runs: [StreamID: [RunRow]]
    ) {
        self.connection = connection
        self.identity = identity
        self.runs = runs
    }

    private static func byStream(_ rows: [RunRow]) -> [StreamID: [RunRow]] {
        var runs: [StreamID: [RunRow]] = [:]
        for run in rows { runs[run.stream, default: []].append(run) }
        return runs
    }

    /// Of the runs of one stream, at least one.
    private static func coverage(_ rows: [RunRow]) -> Range<Offset> {
        rows[0].first..<rows[rows.count - 1].end
    }

    private static func forget(_ stream: StreamID, in database: Database) throws {
        for table in ["runs", "leaves"] {
            try SQLStatement(database, "DELETE FROM \(table) WHERE stream = ?")
                .run(.number(stream.value))
        }
    }

    /// Streams of which something is indexed.
    package var streams: [StreamID] { Array(runs.keys) }

    /// Which offsets of a stream are covered; `nil` if none are.
    package func coverage(of stream: StreamID) -> Range<Offset>? {
        runs[stream].map(Self.coverage)
    }

    package var entryCount: Int {
        runs.values.reduce(0) { $0 + $1.reduce(0) { $0 + $1.entryCount } }
    }

    /// Adds runs in one transaction; each continues its stream's coverage, or begins it.
    ///
    /// A run that is there already is left out. Throws `damaged` if what it is merged with does not
    /// hold, `noSpace`, `locked` if another process writes the store now; then nothing was added.
    package func append(_ added: [KeyRun]) throws(WeirError) {
        let before = runs
        var after = before
        try connection.write { database in
            try expectOwnership(in: database)
            after = before
            for run in added {
                let rows = after[run.stream] ?? []
                if let last = rows.last {
                    if run.end <= last.end { continue }
                    precondition(run.first == last.end, "a run of keys leaves a hole")
                }
                after[run.stream] = try Self.add(run, to: rows, in: database)
            }
        }
        runs = after
    }

    /// A process that stood still while another became the writer must not write on: what it
    /// would add is of a log that is no longer the store's.
    private func expectOwnership(in database: Database) throws {
        let owner = try IndexSchema.identity(in: database)
        guard owner != identity else { return }
        throw WeirError(
            .locked,
            "The index was taken over by epoch \(owner.epoch) of the store, and this process is of "
                + "epoch \(identity.epoch): another process is the writer.")
    }

    private static func add(
        _ run: KeyRun, to rows: [RunRow], in database: Database
    ) throws -> [RunRow] {
        let mergeCount = RunRow.mergeCount(rows, with: run.row)
        let merged = rows.suffix(mergeCount)
        var whole = run
        for row in merged.reversed() {
            whole = try merge(entries(of: row, in: database), row, whole)
        }
        let start = SQLValue.number(whole.first.value)
        let stream = SQLValue.number(run.stream.value)
        // Whatever else stands there is left of rows that were lost.
        for table in ["runs WHERE stream = ? AND first_offset", "leaves WHERE stream = ? AND run"] {
            try SQLStatement(database, "DELETE FROM \(table) >= ?").run(stream, start)
        }
        try insert(whole, in: database)
        return rows.dropLast(mergeCount) + [whole.row]
    }

    private static func insert(_ run: KeyRun, in database: Database) throws {
        let row = run.row
        try SQLStatement(database, "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?)").run(
            .number(row.stream.value), .number(row.first.value), .number(row.end.value),
            .number(UInt64(row.entryCount)), .number(row.isUnread ? 1 : 0), .number(row.checksum))
        let statement = try SQLStatement(database, "INSERT INTO leaves VALUES (?, ?, ?, ?, ?, ?)")
        for leaf in run.leaves {
            let words = leaf.words
            let checksum = KeyLeaf.checksum(
                run: row, low: leaf.low, high: leaf.high, words: words)
            try statement.run(
                .number(row.stream.value), .number(row.first.value), .bytes(leaf.low.orderBytes),
                .bytes(leaf.high.orderBytes), .words(words), .number(checksum))
        }
    }

    /// All entries of a run, sorted. Throws `damaged` unless its leaves tile it.
    private static func entries(of run: RunRow, in database: Database) throws -> [KeyEntry] {
        var entries: [KeyEntry] = []
        entries.reserveCapacity(run.entryCount)
        var expected = KeyEntry.least
        let sql = """
            SELECT low, high, entries, checksum FROM leaves
            WHERE stream = ? AND run = ? ORDER BY low
            """
        try SQLStatement(database, sql)
            .rows(.number(run.stream.value), .number(run.first.value)) { row in
                let leaf = try row.leaf(of: run)
                guard leaf.low == expected else { throw missing(run) }
                expected = leaf.high
                entries += leaf.entries
                return true
            }
        guard expected == .beyond, entries.count == run.entryCount else { throw missing(run) }
        return entries
    }

    private static func missing(_ run: RunRow) -> WeirError {
        WeirError.damaged(
            "Keys of offsets from \(run.first) to before \(run.end) are missing from the index.")
    }

    private static func merge(_ entries: [KeyEntry], _ row: RunRow, _ later: KeyRun) -> KeyRun {
        var merged = later
        merged.first = row.first
        merged.entries = []
        merged.entries.reserveCapacity(entries.count + later.entries.count)
        var (left, right) = (0, 0)
        while left < entries.count, right < later.entries.count {
            if entries[left] < later.entries[right] {
                merged.entries.append(entries[left])
                left += 1
            } else {
                merged.entries.append(later.entries[right])
                right += 1
            }
        }
        merged.entries += entries[left...]
        merged.entries += later.entries[right...]
        return merged
    }

    /// Moves what was written lately into the file itself: for quiet moments.
    package func checkpoint() throws(WeirError) { try connection.checkpoint() }

    /// Ends the connection; the last one takes the write-ahead log away.
    package func close() throws(WeirError) { try connection.close() }
}
