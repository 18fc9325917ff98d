import GRDBSQLite

extension SQLValue {
    /// Copies a value of SQLite's.
    @unsafe init(_ value: OpaquePointer?) {
        guard let value = unsafe value else {
            self = .null
            return
        }
        switch unsafe sqlite3_value_type(value) {
        case SQLITE_INTEGER: self = .integer(unsafe sqlite3_value_int64(value))
        case SQLITE_FLOAT: self = .real(unsafe sqlite3_value_double(value))
        // A text may have a zero in it: its length counts. It is asked for after the text.
        case SQLITE_TEXT:
            let start = unsafe UnsafeRawPointer(sqlite3_value_text(value))
            self = .text(unsafe Self.array(start, byteCount: sqlite3_value_bytes(value)))
        case SQLITE_BLOB:
            let start = unsafe sqlite3_value_blob(value)
            self = .bytes(unsafe Self.array(start, byteCount: sqlite3_value_bytes(value)))
        default: self = .null
        }
    }

    private static func array(_ start: UnsafeRawPointer?, byteCount: Int32) -> [UInt8] {
        guard let start = unsafe start else { return [] }
        return unsafe Array(UnsafeRawBufferPointer(start: start, count: Int(byteCount)))
    }

    /// Has SQLite copy what it is given (`SQLITE_TRANSIENT`, a macro that Swift does not see).
    private static let copied = unsafe unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    /// As the result of a function, or a column.
    @unsafe func give(to context: OpaquePointer) {
        switch self {
        case .null: unsafe sqlite3_result_null(context)
        case .integer(let number): unsafe sqlite3_result_int64(context, number)
        case .real(let number): unsafe sqlite3_result_double(context, number)
        case .text(let bytes):
            unsafe bytes.withUnsafeBytes { buffer in
                // An empty array has no address, and no address would be NULL.
                let start = unsafe buffer.baseAddress?.assumingMemoryBound(to: CChar.self)
                unsafe sqlite3_result_text64(
                    context, start ?? Self.nothing, UInt64(buffer.count), Self.copied,
                    UInt8(SQLITE_UTF8))
            }
        case .bytes(let bytes):
            unsafe bytes.withUnsafeBytes { buffer in
                unsafe sqlite3_result_blob64(
                    context, buffer.baseAddress ?? UnsafeRawPointer(Self.nothing),
                    UInt64(buffer.count), Self.copied)
            }
        }
    }

    // Never freed and never changed: an address for what has no bytes.
    private nonisolated(unsafe) static let nothing: UnsafePointer<CChar> = {
        let memory = UnsafeMutablePointer<CChar>.allocate(capacity: 1)
        unsafe memory.initialize(to: 0)
        return unsafe UnsafePointer(memory)
    }()

    /// A text in SQLite's own memory, which it frees.
    static func memory(_ text: String) -> UnsafeMutablePointer<CChar>? {
        let bytes = text.utf8CString
        guard let memory = unsafe sqlite3_malloc64(UInt64(bytes.count)) else { return nil }
        unsafe bytes.withUnsafeBytes { buffer in
            if let start = buffer.baseAddress {
                unsafe memory.copyMemory(from: start, byteCount: buffer.count)
            }
        }
        return unsafe memory.assumingMemoryBound(to: CChar.self)
    }
}
