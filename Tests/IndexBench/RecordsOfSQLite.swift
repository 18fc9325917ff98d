import GRDBSQLite

/// A table of records with an index by key and one by time, as somebody without Weir would make it.
final class RecordsOfSQLite {
    private var connection: OpaquePointer?
    private var insert: OpaquePointer?
    private var byKey: OpaquePointer?

    init(path: String) throws {
        try check(sqlite3_open(path, &connection))
        for statement in [
            "PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL",
            "CREATE TABLE log (id INTEGER PRIMARY KEY, time INTEGER, key BLOB, value BLOB)",
            "CREATE INDEX log_by_key ON log (key, id)", "CREATE INDEX log_by_time ON log (time)",
        ] { try run(statement) }
        let insertion = "INSERT INTO log VALUES (?, ?, ?, ?)"
        try check(sqlite3_prepare_v2(connection, insertion, -1, &insert, nil))
        let selection = "SELECT id, value FROM log WHERE key = ? ORDER BY id"
        try check(sqlite3_prepare_v2(connection, selection, -1, &byKey, nil))
    }

    private func check(_ code: Int32) throws {
        guard code == SQLITE_OK || code == SQLITE_DONE || code == SQLITE_ROW else {
            throw Usage("SQLite: \(String(cString: sqlite3_errmsg(connection)))")
        }
    }

    private func run(_ statement: String) throws {
        try check(sqlite3_exec(connection, statement, nil, nil, nil))
    }

    func begin() throws { try run("BEGIN") }
    func commit() throws { try run("COMMIT") }
    /// Moves the write-ahead log into the file.
    func shorten() throws { try run("PRAGMA wal_checkpoint(TRUNCATE)") }

    func append(offset: Int, time: Int, key: [UInt8], value: [UInt8]) throws {
        sqlite3_bind_int64(insert, 1, Int64(offset))
        sqlite3_bind_int64(insert, 2, Int64(time))
        // The arrays live until the statement has been run.
        try key.withUnsafeBytes { key in
            try value.withUnsafeBytes { value in
                sqlite3_bind_blob(insert, 3, key.baseAddress, Int32(key.count), nil)
                sqlite3_bind_blob(insert, 4, value.baseAddress, Int32(value.count), nil)
                try check(sqlite3_step(insert))
            }
        }
        sqlite3_reset(insert)
    }

    /// All records in their order; says how many there were.
    func replay() throws -> Int {
        var all: OpaquePointer?
        try check(
            sqlite3_prepare_v2(connection, "SELECT id, value FROM log ORDER BY id", -1, &all, nil))
        defer { sqlite3_finalize(all) }
        return try count(all)
    }

    /// The records of a key, copied.
    func replay(key: [UInt8]) throws -> Int {
        defer { sqlite3_reset(byKey) }
        return try key.withUnsafeBytes { key in
            sqlite3_bind_blob(byKey, 1, key.baseAddress, Int32(key.count), nil)
            return try count(byKey)
        }
    }

    private func count(_ statement: OpaquePointer?) throws -> Int {
        var seen = 0
        while true {
            let code = sqlite3_step(statement)
            try check(code)
            guard code == SQLITE_ROW else { return seen }
            let value = sqlite3_column_blob(statement, 1)
            let byteCount = Int(sqlite3_column_bytes(statement, 1))
            let copy = Array(UnsafeRawBufferPointer(start: value, count: byteCount))
            seen += copy.isEmpty ? 0 : 1
        }
    }

    func close() {
        for statement in [insert, byKey] { sqlite3_finalize(statement) }
        sqlite3_close(connection)
    }
}
