import GRDB
import GRDBSQLite
import WeirBase

/// A value on its way into a statement.
enum SQLValue {
    /// Sixty-four bits; SQLite shows them as a signed number.
    case number(UInt64)
    /// Sixteen bytes whose order is that of the entries: hash and offset, big-endian.
    case entry(KeyEntry)
    /// Little-endian.
    case words([UInt64])
}

/// A prepared statement of a connection, run without GRDB's values between: twice as fast, and
/// blobs come without Foundation.
struct SQLStatement {
    private let database: Database
    private let statement: Statement

    init(_ database: Database, _ sql: String) throws {
        self.database = database
        self.statement = try database.cachedStatement(sql: sql)
    }

    /// Runs a statement that gives no rows.
    func run(_ values: SQLValue...) throws {
        try forEach(values) { _ in false }
    }

    /// Calls `body` with each row until it returns `false`.
    func rows(_ values: SQLValue..., body: (SQLRow) throws -> Bool) throws {
        try forEach(values, body)
    }

    private func forEach(_ values: [SQLValue], _ body: (SQLRow) throws -> Bool) throws {
        // GRDB keeps the statement while its connection is open, and this call is inside that.
        let handle = unsafe statement.sqliteStatement
        defer {
            // A statement that is left in the middle would hold its snapshot for ever.
            unsafe sqlite3_reset(handle)
            unsafe sqlite3_clear_bindings(handle)
        }
        for (index, value) in values.enumerated() {
            unsafe try check(bind(handle, Int32(index + 1), value))
        }
        while true {
            let code = unsafe sqlite3_step(handle)
            if code == SQLITE_DONE { return }
            guard code == SQLITE_ROW else { return try check(code) }
            let goesOn = unsafe try body(SQLRow(handle: handle))
            if !goesOn { return }
        }
    }

    private func bind(_ handle: OpaquePointer, _ index: Int32, _ value: SQLValue) -> Int32 {
        // SQLite copies what it is given: the array may move afterwards.
        let copies = unsafe unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        switch value {
        case .number(let number):
            return unsafe sqlite3_bind_int64(handle, index, Int64(bitPattern: number))
        case .entry(let entry):
            let words = (entry.hash.bigEndian, entry.offset.value.bigEndian)
            return unsafe withUnsafeBytes(of: words) {
                unsafe bindBlob(handle, index, $0, copies)
            }
        case .words(let words):
            return unsafe words.map { $0.littleEndian }.withUnsafeBytes {
                unsafe bindBlob(handle, index, $0, copies)
            }
        }
    }

    private func bindBlob(
        _ handle: OpaquePointer, _ index: Int32, _ bytes: UnsafeRawBufferPointer,
        _ copies: sqlite3_destructor_type?
    ) -> Int32 {
        // Without an address SQLite would take it for NULL.
        guard let base = bytes.baseAddress else {
            return unsafe sqlite3_bind_zeroblob(handle, index, 0)
        }
        return unsafe sqlite3_bind_blob(handle, index, base, Int32(bytes.count), copies)
    }

    private func check(_ code: Int32) throws {
        guard code != SQLITE_OK else { return }
        throw DatabaseError(
            resultCode: ResultCode(rawValue: code), message: database.lastErrorMessage)
    }
}

/// A row, for as long as the call that shows it.
@safe
struct SQLRow {
    private let handle: OpaquePointer

    fileprivate init(handle: OpaquePointer) { unsafe self.handle = handle }

    func number(_ column: Int32) -> UInt64 {
        unsafe UInt64(bitPattern: sqlite3_column_int64(handle, column))
    }

    /// `nil` unless there are sixteen bytes.
    func entry(_ column: Int32) -> KeyEntry? {
        // The address is asked for first: it fixes the length.
        guard let base = unsafe sqlite3_column_blob(handle, column),
            unsafe sqlite3_column_bytes(handle, column) == 16
        else { return nil }
        let hash = unsafe base.loadUnaligned(as: UInt64.self)
        let offset = unsafe base.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
        return KeyEntry(
            hash: UInt64(bigEndian: hash), offset: Offset(UInt64(bigEndian: offset)))
    }

    /// Whole words only; bytes behind the last one are left out.
    func words(_ column: Int32) -> [UInt64] {
        guard let base = unsafe sqlite3_column_blob(handle, column) else { return [] }
        let count = unsafe Int(sqlite3_column_bytes(handle, column)) / 8
        return unsafe [UInt64](unsafeUninitializedCapacity: count) { buffer, written in
            for index in 0..<count {
                let word = unsafe base.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self)
                unsafe buffer.initializeElement(at: index, to: UInt64(littleEndian: word))
            }
            written = count
        }
    }
}
