import GRDB
import WeirBase

/// A connection to an index's file, and its errors in Weir's words.
struct IndexConnection: Sendable {
    let path: String
    private let queue: DatabaseQueue

    /// Another process that holds the file for a moment is waited for so long.
    private static let busySeconds = 2.0

    /// Opens a file that exists. `isFrozen`: nobody writes it, so neither locks nor files beside it
    /// are needed.
    init(path: String, isReadOnly: Bool, isFrozen: Bool = false) throws(WeirError) {
        var configuration = Configuration()
        configuration.readonly = isReadOnly
        configuration.busyMode = .timeout(Self.busySeconds)
        configuration.label = "weir.index"
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA cache_size = -\(IndexLimits.cacheKibibytesMax)")
            if !isReadOnly {
                try database.execute(
                    sql: """
                        PRAGMA page_size = \(IndexLimits.pageBytes);
                        PRAGMA journal_mode = WAL;
                        PRAGMA synchronous = NORMAL;
                        PRAGMA journal_size_limit = \(IndexLimits.journalBytesMax);
                        PRAGMA wal_autocheckpoint = \(IndexLimits.journalPagesMax);
                        PRAGMA secure_delete = OFF;
                        """)
            }
        }
        self.path = path
        do {
            let name = isFrozen ? Self.address(of: path) + "?immutable=1" : path
            queue = try DatabaseQueue(path: name, configuration: configuration)
        } catch {
            throw Self.explain(error, path)
        }
    }

    /// A path as a URI: what has a meaning there is written as a percentage.
    private static func address(of path: String) -> String {
        "file:"
            + path.utf8.map { byte in
                let isPlain =
                    (48...57).contains(byte) || (65...90).contains(byte)
                    || (97...122).contains(byte) || [45, 46, 47, 95].contains(byte)
                let digits = String(byte, radix: 16)
                return isPlain
                    ? String(UnicodeScalar(byte)) : "%" + (digits.count < 2 ? "0" : "") + digits
            }.joined()
    }

    /// Reads from one state of the file.
    func read<Value>(_ body: (Database) throws -> Value) throws(WeirError) -> Value {
        do {
            // A transaction by statements that are kept: GRDB would prepare its own each time.
            return try queue.unsafeRead { database in
                try SQLStatement(database, "BEGIN").run()
                let outcome = Result { try body(database) }
                if database.isInsideTransaction { try SQLStatement(database, "COMMIT").run() }
                return try outcome.get()
            }
        } catch {
            throw Self.explain(error, path)
        }
    }

    /// Changes all that `body` changes, or nothing.
    func write<Value>(_ body: (Database) throws -> Value) throws(WeirError) -> Value {
        do {
            return try queue.write(body)
        } catch {
            throw Self.explain(error, path)
        }
    }

    /// Moves what is in the write-ahead log into the file itself, and cuts that log to nothing.
    /// Waits for nobody: beside somebody who looks in it, it stays as long as it is, and this is
    /// `false`.
    func checkpoint() throws(WeirError) -> Bool {
        do {
            return try queue.writeWithoutTransaction { database in
                // SQLite would wait for readers, and meanwhile nothing would be indexed.
                try database.execute(sql: "PRAGMA busy_timeout = 0")
                let outcome = Result { _ = try database.checkpoint(.truncate) }
                let milliseconds = Int(Self.busySeconds * 1000)
                try database.execute(sql: "PRAGMA busy_timeout = \(milliseconds)")
                try outcome.get()
                return true
            }
        } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY {
            return false
        } catch {
            throw Self.explain(error, path)
        }
    }

    func close() throws(WeirError) {
        do {
            try queue.close()
        } catch {
            throw Self.explain(error, path)
        }
    }

    private static func explain(_ error: any Error, _ path: String) -> WeirError {
        if let error = error as? WeirError { return error.located(.init(path: path)) }
        guard let error = error as? DatabaseError else {
            return WeirError(
                .system, "The index failed.", at: .init(path: path), cause: "\(error)")
        }
        let cause = error.message ?? "\(error.resultCode)"
        switch error.resultCode {
        case .SQLITE_FULL:
            return WeirError(
                .noSpace, "There is no space for the index; make room on the disk.",
                at: .init(path: path), cause: cause)
        case .SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_ERROR, .SQLITE_SCHEMA, .SQLITE_MISMATCH,
            .SQLITE_CONSTRAINT, .SQLITE_RANGE, .SQLITE_FORMAT, .SQLITE_EMPTY, .SQLITE_TOOBIG:
            return WeirError(
                .damaged, "The index is damaged.", at: .init(path: path), cause: cause)
        default:
            return WeirError(
                .system, "SQLite could not work on the index.", at: .init(path: path), cause: cause)
        }
    }
}
