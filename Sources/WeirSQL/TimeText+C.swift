import GRDBSQLite
import WeirBase

extension TimeText {
    /// The order of times, as the declarations of tables name it.
    static let collation = "weir_time"

    /// Makes it known to a connection.
    static func registerCollation(on connection: OpaquePointer) throws(WeirError) {
        let code = unsafe sqlite3_create_collation_v2(
            connection, collation, SQLITE_UTF8, nil,
            { _, aCount, a, bCount, b in
                // SQLite hands two texts over, for as long as the call lasts.
                unsafe TimeText.compare(
                    UnsafeRawBufferPointer(start: a, count: Int(aCount)),
                    UnsafeRawBufferPointer(start: b, count: Int(bCount)))
            }, nil)
        guard code == SQLITE_OK else {
            let reason = unsafe String(cString: sqlite3_errmsg(connection))
            throw WeirError(
                .system, "SQLite did not take the order of times (code \(code)): \(reason).")
        }
    }

    /// Both as they stand in a table, byte by byte.
    private static func compare(
        _ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer
    ) -> Int32 {
        if unsafe isAsInTables(a) && isAsInTables(b) { return unsafe order(a, b) }
        return unsafe order(asInTables(Array(a)), asInTables(Array(b)))
    }

    private static func isAsInTables(_ text: UnsafeRawBufferPointer) -> Bool {
        unsafe text.count == width && text[10] == UInt8(ascii: "T")
            && text[width - 1] == UInt8(ascii: "Z")
    }

    private static func order(_ a: some Collection<UInt8>, _ b: some Collection<UInt8>) -> Int32 {
        for (left, right) in zip(a, b) where left != right { return left < right ? -1 : 1 }
        return Int32(a.count - b.count)
    }
}
