import GRDB
package import WeirBase

/// Whose index a file is: one of another store, or of another history of this one, is not believed.
package struct IndexIdentity: Sendable, Hashable {
    package let store: StoreID
    /// The opening of the store that wrote the file last, and when it was: a store that was put
    /// back to an earlier state gives the same number again.
    package let epoch: Epoch
    package let opened: Timestamp

    package init(store: StoreID, epoch: Epoch, opened: Timestamp) {
        self.store = store
        self.epoch = epoch
        self.opened = opened
    }

    var checksum: UInt64 {
        var sum = IndexChecksum()
        sum.add(store.value)
        sum.add(epoch.value)
        sum.add(UInt64(bitPattern: opened.microseconds))
        return sum.value
    }
}

/// The tables, and what makes a file an index of this version.
///
///     owner    one row: store, epoch, when that opened it, checksum
///     runs     which offsets of which stream are covered: stream, first and end offset, entries…
///     leaves   the entries of the runs, in the order of hash and offset
enum IndexSchema {
    /// "Weir" in ASCII.
    static let applicationID = 0x5765_6972
    static let version = 2

    static let tables = """
        CREATE TABLE owner (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            store INTEGER NOT NULL, epoch INTEGER NOT NULL, opened INTEGER NOT NULL,
            checksum INTEGER NOT NULL);
        CREATE TABLE runs (
            stream INTEGER NOT NULL, first_offset INTEGER NOT NULL, end_offset INTEGER NOT NULL,
            entries INTEGER NOT NULL, unread INTEGER NOT NULL, number INTEGER NOT NULL,
            checksum INTEGER NOT NULL, PRIMARY KEY (stream, first_offset)) WITHOUT ROWID;
        CREATE TABLE leaves (
            id INTEGER PRIMARY KEY, run INTEGER NOT NULL, low BLOB NOT NULL, high BLOB NOT NULL,
            entries BLOB NOT NULL, checksum INTEGER NOT NULL);
        CREATE UNIQUE INDEX leaf_order ON leaves (run, low);
        """

    /// Makes an empty file an index.
    static func create(in database: Database, _ identity: IndexIdentity) throws {
        try database.execute(sql: tables)
        try database.execute(sql: "PRAGMA application_id = \(applicationID)")
        try database.execute(sql: "PRAGMA user_version = \(version)")
        try write(identity, in: database)
    }

    static func write(_ identity: IndexIdentity, in database: Database) throws {
        try SQLStatement(database, "INSERT OR REPLACE INTO owner VALUES (1, ?, ?, ?, ?)")
            .run(
                .number(identity.store.value), .number(identity.epoch.value),
                .number(UInt64(bitPattern: identity.opened.microseconds)),
                .number(identity.checksum))
    }

    /// Whose index this is. Throws `damaged` for a file that is none, or of another version.
    static func identity(in database: Database) throws -> IndexIdentity {
        let application = try number("PRAGMA application_id", in: database)
        guard application == UInt64(applicationID) else {
            throw WeirError.damaged(
                "The file is no index of Weir: its application id is \(application); expected "
                    + "\(applicationID).")
        }
        let found = try number("PRAGMA user_version", in: database)
        guard found == UInt64(version) else {
            throw WeirError.damaged(
                "The index has version \(found); this version of Weir writes \(version).")
        }
        return try owner(in: database)
    }

    /// Whose a file is that is known to be an index. Throws `damaged`.
    static func owner(in database: Database) throws -> IndexIdentity {
        var identity: IndexIdentity?
        try SQLStatement(database, "SELECT store, epoch, opened, checksum FROM owner").rows { row in
            let read = IndexIdentity(
                store: StoreID(row.number(0)), epoch: Epoch(row.number(1)),
                opened: Timestamp(microseconds: Int64(bitPattern: row.number(2))))
            identity = read.checksum == row.number(3) ? read : nil
            return false
        }
        guard let identity else { throw WeirError.damaged("The index does not say whose it is.") }
        return identity
    }

    /// All runs of a stream, or of all streams, proven: each by its checksum, and that one follows
    /// the other without a hole.
    static func runs(of stream: StreamID?, in database: Database) throws -> [RunRow] {
        let columns = """
            SELECT stream, first_offset, end_offset, entries, unread, number, checksum FROM runs
            """
        var found: [RunRow] = []
        let take = { (row: SQLRow) throws -> Bool in
            let run = RunRow(
                number: row.number(5), stream: StreamID(row.number(0)),
                first: Offset(row.number(1)), end: Offset(row.number(2)),
                entryCount: Int(clamping: row.number(3)), isUnread: row.number(4) != 0)
            guard run.checksum == row.number(6) else {
                throw WeirError.damaged("A run of keys in the index does not match its checksum.")
            }
            guard run.first <= run.end, run.entryCount <= IndexLimits.entriesMax else {
                throw WeirError.damaged(
                    "A run of keys in the index has \(run.entryCount) entries from offset "
                        + "\(run.first) to before \(run.end), which cannot be.")
            }
            if let last = found.last, last.stream == run.stream, last.end != run.first {
                throw WeirError.damaged(
                    "The index covers offsets up to \(last.end) and then from \(run.first) on.")
            }
            found.append(run)
            return true
        }
        if let stream {
            try SQLStatement(database, columns + " WHERE stream = ? ORDER BY first_offset")
                .rows(.number(stream.value), body: take)
        } else {
            try SQLStatement(database, columns + " ORDER BY stream, first_offset")
                .rows(body: take)
        }
        return found
    }

    static func insert(_ row: RunRow, in database: Database) throws {
        try SQLStatement(database, "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?)").run(
            .number(row.stream.value), .number(row.first.value), .number(row.end.value),
            .number(UInt64(row.entryCount)), .number(row.isUnread ? 1 : 0), .number(row.number),
            .number(row.checksum))
    }

    static func delete(_ row: RunRow, in database: Database) throws {
        try SQLStatement(database, "DELETE FROM runs WHERE stream = ? AND first_offset = ?")
            .run(.number(row.stream.value), .number(row.first.value))
    }

    /// Numbers of all runs that leaves name, by a step in `leaf_order` each.
    static func leafRuns(in database: Database) throws -> [UInt64] {
        let next = try SQLStatement(
            database,
            "SELECT run FROM leaves INDEXED BY leaf_order WHERE run > ? ORDER BY run LIMIT 1")
        var runs: [UInt64] = []
        var isMore = true
        while isMore {
            isMore = false
            try next.rows(.number(runs.last ?? 0)) { row in
                runs.append(row.number(0))
                isMore = true
                return false
            }
        }
        return runs
    }

    /// Removes so many leaves of a run at most; says how many, and whether there are no more.
    static func deleteLeaves(
        of run: UInt64, max countMax: Int, in database: Database
    ) throws -> (count: Int, isAll: Bool) {
        var bound: KeyEntry?
        try SQLStatement(
            database,
            """
            SELECT low FROM leaves INDEXED BY leaf_order
            WHERE run = ? ORDER BY low LIMIT 1 OFFSET ?
            """
        ).rows(.number(run), .number(UInt64(countMax))) { row in
            bound = row.entry(0)
            return false
        }
        let delete = try SQLStatement(database, "DELETE FROM leaves WHERE run = ? AND low < ?")
        try delete.run(.number(run), .entry(bound ?? .beyond))
        return (database.changesCount, bound == nil)
    }

    /// A number that no run of the file has. Throws `damaged` where there is none.
    static func number(after numbers: Set<UInt64>) throws -> UInt64 {
        let last = numbers.max() ?? 0
        guard last < UInt64(Int64.max) else {
            throw WeirError.damaged("The index has a run of the number \(last), which is none.")
        }
        return last + 1
    }

    static func number(_ sql: String, in database: Database) throws -> UInt64 {
        var number: UInt64 = 0
        try SQLStatement(database, sql).rows { row in
            number = row.number(0)
            return false
        }
        return number
    }
}
