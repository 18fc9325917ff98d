public import GRDB
import GRDBSQLite
public import Weir
public import WeirBase

/// A store's records and streams as tables of SQLite, to be asked and not to be changed.
///
/// ```swift
/// let database = try RecordsDatabase(store)
/// try database.query("SELECT count(*) FROM flights WHERE headers ->> 'carrier' = ?", ["UA"]) {
///     print($0[0] as Int)
///     return true
/// }
/// ```
///
/// Each stream is a table with the columns offset, time, time_us, append_time, append_time_us, key,
/// headers (JSON), value and tombstone, and `weir_streams`, `weir_segments`, `weir_blocks`,
/// `weir_cursors`, `weir_producers` and `weir_index` tell what the store knows of its streams;
/// `Docs/SQL.md` promises them. A condition on offset, or a lower one on a time, becomes the place
/// where reading begins, and one on the key or an indexed header is looked up in the index;
/// everything else is a scan of the log. Costs no memory but a batch a table. It may wait for the
/// disk: not for Swift's own threads.
public final class RecordsDatabase {
    /// What a query met on its way.
    public struct Events: Sendable {
        /// Records that are not there.
        public var onGap: @Sendable (Gap) -> Void = { _ in }
        /// All of a stream is looked at, though the statement has a condition on its columns. Told
        /// once a statement and stream.
        public var onScan: @Sendable (Scan) -> Void = { _ in }
        /// Asked now and then; `true` ends the query with an error.
        public var isCancelled: @Sendable () -> Bool = { false }

        public init() {}
    }

    private let queue: DatabaseQueue
    private let events: Events
    private let teller: ScanTeller

    /// Opens a database in memory with a table for each stream that the store has now.
    public init(_ store: Store, events: Events = Events()) throws {
        let teller = ScanTeller(events.onScan)
        self.events = events
        self.teller = teller
        var heard = events
        heard.onScan = { teller.meet($0) }
        var configuration = Configuration()
        configuration.prepareDatabase { [heard] db in
            try store.addTables(to: db, events: heard)
        }
        queue = try DatabaseQueue(configuration: configuration)
    }

    /// Runs one statement that only reads: `SELECT`, `WITH`, `VALUES` or `EXPLAIN`.
    ///
    /// `row` is called with each row until it gives `false`. Throws `invalidArgument` with SQLite's
    /// own words for a statement that is wrong or would change anything, what reading the log
    /// throws, and what `row` throws.
    public func query(
        _ sql: String, _ arguments: StatementArguments = StatementArguments(),
        columns: ([String]) throws -> Void = { _ in }, _ row: (Row) throws -> Bool
    ) throws {
        try queue.inDatabase { db in
            watchForCancellation(db)
            do {
                let statement = try db.makeStatement(sql: sql)
                let tokens = SQLToken.all(in: sql)
                try Self.expectReading(statement, tokens)
                teller.begin(tokens)
                try columns(statement.columnNames)
                let rows = try Row.fetchCursor(statement, arguments: arguments)
                while let found = try rows.next() {
                    guard try row(found) else { break }
                }
            } catch let error as DatabaseError {
                throw try Self.told(error, sql, db)
            }
        }
    }

    /// The offsets of a stream's records that fulfil a condition over the columns, in their order.
    ///
    /// ```swift
    /// try database.offsets(of: "flights", where: "key = ? AND time >= ?", [tail, "2013-06-01"]) {
    ///     print($0)
    ///     return true
    /// }
    /// ```
    ///
    /// What comes from elsewhere belongs into the arguments: they are bound, and are never read as
    /// SQL (GRDB binds a text up to its first NUL). Throws `invalidArgument` for a condition that
    /// is no single expression, or has another number of places than there are arguments.
    public func offsets(
        of stream: String, where condition: String,
        _ arguments: StatementArguments = StatementArguments(), _ body: (Offset) throws -> Bool
    ) throws {
        try Self.expectExpression(condition)
        let table = try table(of: stream)
        let hidden = try names("SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 1", [table])
        let condition = SQLToken.naming(Set(hidden), in: condition)
        let name = table.split(separator: "\"", omittingEmptySubsequences: false)
            .joined(separator: "\"\"")
        // On lines of its own: a comment at its end stays its own affair.
        let sql = "SELECT \"offset\" FROM \"\(name)\" WHERE (\n\(condition)\n) ORDER BY \"offset\""
        try query(sql, arguments) { row in try body(Offset(UInt64(row[0] as Int64))) }
    }

    /// Mostly its name, but not always; of a stream that is not there SQLite will say so.
    private func table(of stream: String) throws -> String {
        var table: String?
        let sql = "SELECT table_name FROM weir_streams WHERE name = ?"
        try query(sql, [stream]) { row in
            table = row[0]
            return false
        }
        return table ?? stream
    }

    /// The tables that there are: one a stream, and those over the streams themselves.
    public func tableNames() throws -> [String] {
        try names("SELECT name FROM sqlite_temp_master ORDER BY rowid")
    }

    /// The columns of a table; none of one that is not there.
    public func columnNames(of table: String) throws -> [String] {
        try names("SELECT name FROM pragma_table_info(?)", [table])
    }

    private func names(_ sql: String, _ arguments: StatementArguments = []) throws -> [String] {
        var names: [String] = []
        try query(sql, arguments) { row in
            names.append(row[0])
            return true
        }
        return names
    }

    /// Whether a text ends behind a whole statement, so that nothing more of it is to come.
    public static func isComplete(_ sql: String) -> Bool { unsafe sqlite3_complete(sql) != 0 }

    private static func expectReading(_ statement: Statement, _ tokens: [SQLToken]) throws {
        let verbs = ["SELECT", "WITH", "VALUES", "EXPLAIN"]
        guard statement.isReadonly, let verb = tokens.verb, verbs.contains(verb) else {
            throw WeirError(
                .invalidArgument,
                "The statement is not one that only reads; expected SELECT, WITH, VALUES or "
                    + "EXPLAIN. Records are appended with `weir append`.")
        }
    }

    /// One expression and nothing that ends it: its parentheses match, and no statement follows.
    ///
    /// Throws `invalidArgument` otherwise.
    package static func expectExpression(_ condition: String) throws {
        guard SQLToken.all(in: condition).isExpression else {
            throw WeirError(
                .invalidArgument,
                "The condition \(condition) is no single expression; expected one over the "
                    + "columns \(RecordColumn.names), with its quotes and parentheses closed and "
                    + "without comments.")
        }
    }

    private static func told(
        _ error: DatabaseError, _ sql: String, _ db: Database
    ) throws -> any Error {
        if error.resultCode == .SQLITE_INTERRUPT { return CancellationError() }
        let message = error.message ?? "\(error.resultCode)"
        var help = message.hasPrefix("no such column") ? columns(of: sql.lowercased()) : ""
        if message.hasPrefix("no such table") { help = try tables(db) }
        if message.hasPrefix("wrong number of statement arguments") {
            help =
                "; each place (?, :name) takes one, and a command has none to give: write the "
                + "values themselves"
        }
        return WeirError(.invalidArgument, "SQLite says: \(message)\(help).")
    }

    private static func tables(_ db: Database) throws -> String {
        let most = 20
        let names = try String.fetchAll(
            db, sql: "SELECT name FROM sqlite_temp_master ORDER BY rowid LIMIT ?",
            arguments: [most + 1])
        let isAll = names.count <= most
        return "; there are " + names.prefix(most).joined(separator: ", ") + (isAll ? "" : ", …")
    }

    private static func columns(of sql: String) -> String {
        let named = Catalog.all.filter { sql.contains($0.name) }
        if named.isEmpty { return "; the columns of a stream are \(RecordColumn.names)" }
        return named.map { catalog in
            let names = catalog.columns.map(\.name).joined(separator: ", ")
            return "; the columns of \(catalog.name) are \(names)"
        }.joined()
    }

    /// Asks every ten thousand steps of SQLite's machine.
    private func watchForCancellation(_ db: Database) {
        let held = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe sqlite3_progress_handler(
            db.sqliteConnection, 10_000,
            { pointer in
                guard let pointer = unsafe pointer else { return 0 }
                let database = unsafe Unmanaged<RecordsDatabase>.fromOpaque(pointer)
                    .takeUnretainedValue()
                return database.events.isCancelled() ? 1 : 0
            }, held)
    }
}
