import GRDBSQLite
import Weir
import WeirBase

/// The virtual table `weir_records`: a stream's records as rows, for SQLite.
///
/// This file is the boundary to C. What SQLite calls are functions without context; each finds its
/// object behind the structure that SQLite hands back, which begins with SQLite's own part.
enum RecordTable {
    /// Which streams there are, and whom to tell about what a query meets.
    final class Source {
        let stream: (String) throws(WeirError) -> LogStream
        let onGap: @Sendable (Gap) -> Void
        let onScan: (LogStream) -> Void

        init(
            stream: @escaping (String) throws(WeirError) -> LogStream,
            onGap: @escaping @Sendable (Gap) -> Void, onScan: @escaping (LogStream) -> Void
        ) {
            self.stream = stream
            self.onGap = onGap
            self.onScan = onScan
        }
    }

    /// A table of a connection.
    private final class Table {
        let source: Source
        let stream: LogStream

        init(_ source: Source, _ stream: LogStream) {
            self.source = source
            self.stream = stream
        }
    }

    /// A scan of a statement; `nil` before the first `xFilter`.
    private final class Walk {
        var scan: RecordScan?
    }

    @unsafe private struct TableMemory {
        var base = unsafe sqlite3_vtab()
        var table: Unmanaged<Table>
    }

    @unsafe private struct CursorMemory {
        var base = unsafe sqlite3_vtab_cursor()
        var walk: Unmanaged<Walk>
    }

    /// Makes the module known to a connection, which keeps the source as long as it lives.
    static func register(on connection: OpaquePointer, _ source: Source) throws(WeirError) {
        let held = unsafe Unmanaged.passRetained(source).toOpaque()
        let code = unsafe sqlite3_create_module_v2(
            connection, moduleName, module, held,
            { pointer in
                guard let pointer = unsafe pointer else { return }
                unsafe Unmanaged<Source>.fromOpaque(pointer).release()
            })
        guard code == SQLITE_OK else {
            let reason = unsafe String(cString: sqlite3_errmsg(connection))
            throw WeirError(
                .system, "SQLite did not take the tables of records (code \(code)): \(reason).")
        }
    }

    static let moduleName = "weir_records"

    // Made once, never changed, and read by SQLite for as long as the process lives.
    private nonisolated(unsafe) static let module: UnsafeMutablePointer<sqlite3_module> = {
        let module = UnsafeMutablePointer<sqlite3_module>.allocate(capacity: 1)
        unsafe module.initialize(to: sqlite3_module())
        unsafe module.pointee.xCreate = connect
        unsafe module.pointee.xConnect = connect
        unsafe module.pointee.xBestIndex = bestIndex
        unsafe module.pointee.xDisconnect = disconnect
        unsafe module.pointee.xDestroy = disconnect
        unsafe module.pointee.xOpen = open
        unsafe module.pointee.xClose = close
        unsafe module.pointee.xFilter = filter
        unsafe module.pointee.xNext = next
        unsafe module.pointee.xEof = isAtEnd
        unsafe module.pointee.xColumn = column
        unsafe module.pointee.xRowid = rowID
        return unsafe module
    }()

    // MARK: the table

    private typealias Connect =
        @convention(c) (
            OpaquePointer?, UnsafeMutableRawPointer?, Int32,
            UnsafePointer<UnsafePointer<CChar>?>?,
            UnsafeMutablePointer<UnsafeMutablePointer<sqlite3_vtab>?>?,
            UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
        ) -> Int32

    /// `USING weir_records('stream')`: the fourth argument is the name as it was written.
    private static let connect: Connect = { database, held, count, arguments, made, message in
        guard count == 4, let held = unsafe held, let argument = unsafe arguments?[3] else {
            return SQLITE_MISUSE
        }
        let source = unsafe Unmanaged<Source>.fromOpaque(held).takeUnretainedValue()
        do throws(WeirError) {
            let stream = try source.stream(unquoted(unsafe String(cString: argument)))
            let code = unsafe sqlite3_declare_vtab(database, RecordColumn.declaration)
            guard code == SQLITE_OK else { return code }
            let memory = UnsafeMutablePointer<TableMemory>.allocate(capacity: 1)
            unsafe memory.initialize(
                to: TableMemory(table: .passRetained(Table(source, stream))))
            unsafe made?.pointee = UnsafeMutableRawPointer(memory).assumingMemoryBound(
                to: sqlite3_vtab.self)
            return SQLITE_OK
        } catch {
            unsafe message?.pointee = text("\(error)")
            return SQLITE_ERROR
        }
    }

    private static func unquoted(_ text: String) -> String {
        guard let quote = text.first, "'\"".contains(quote), text.count >= 2, text.last == quote
        else { return text }
        let inner = String(text.dropFirst().dropLast())
        return inner.split(separator: "\(quote)\(quote)", omittingEmptySubsequences: false)
            .joined(separator: "\(quote)")
    }

    private static let disconnect: @convention(c) (UnsafeMutablePointer<sqlite3_vtab>?) -> Int32 = {
        table in
        guard let table = unsafe table else { return SQLITE_OK }
        let memory = unsafe UnsafeMutableRawPointer(table).assumingMemoryBound(
            to: TableMemory.self)
        unsafe memory.pointee.table.release()
        unsafe memory.deinitialize(count: 1)
        unsafe memory.deallocate()
        return SQLITE_OK
    }

    // MARK: planning

    /// Which conditions become bounds. Their numbers lie in the low byte, the columns that are
    /// looked at above it.
    private static let bestIndex:
        @convention(c) (
            UnsafeMutablePointer<sqlite3_vtab>?, UnsafeMutablePointer<sqlite3_index_info>?
        ) -> Int32 = { _, info in
            guard let info = unsafe info else { return SQLITE_MISUSE }
            var chosen = [Int?](repeating: nil, count: RecordBound.allCases.count)
            for index in 0..<Int(unsafe info.pointee.nConstraint) {
                let constraint = unsafe info.pointee.aConstraint[index]
                guard constraint.usable != 0,
                    let column = RecordColumn(rawValue: max(constraint.iColumn, 0)),
                    let comparison = comparison(Int32(constraint.op)),
                    let bound = RecordBound(column, comparison),
                    chosen[bound.rawValue] == nil
                else { continue }
                chosen[bound.rawValue] = index
            }
            var number: Int32 = 0
            var arguments: Int32 = 0
            var part = 1.0
            for bound in RecordBound.allCases {
                guard let index = chosen[bound.rawValue] else { continue }
                arguments += 1
                unsafe info.pointee.aConstraintUsage[index].argvIndex = arguments
                number |= 1 << Int32(bound.rawValue)
                part *= bound.selectivity
            }
            let columns = unsafe info.pointee.colUsed & 0x7FFF
            unsafe info.pointee.idxNum = number | Int32(columns) << 8
            unsafe info.pointee.estimatedCost = 1e7 * part
            unsafe info.pointee.estimatedRows = Int64(max(1, 1e7 * part))
            if chosen[RecordBound.offsetEqual.rawValue] != nil {
                unsafe info.pointee.idxFlags = SQLITE_INDEX_SCAN_UNIQUE
            }
            // Rows come in the order of offsets.
            if unsafe info.pointee.nOrderBy == 1, unsafe info.pointee.aOrderBy[0].iColumn <= 0,
                unsafe info.pointee.aOrderBy[0].desc == 0
            {
                unsafe info.pointee.orderByConsumed = 1
            }
            return SQLITE_OK
        }

    private static func comparison(_ code: Int32) -> RecordBound.Comparison? {
        switch code {
        case SQLITE_INDEX_CONSTRAINT_EQ: .equal
        case SQLITE_INDEX_CONSTRAINT_GE, SQLITE_INDEX_CONSTRAINT_GT: .from
        case SQLITE_INDEX_CONSTRAINT_LE, SQLITE_INDEX_CONSTRAINT_LT: .to
        default: nil
        }
    }

    // MARK: walking

    private typealias Row = UnsafeMutablePointer<sqlite3_vtab_cursor>?

    private static let open:
        @convention(c) (
            UnsafeMutablePointer<sqlite3_vtab>?,
            UnsafeMutablePointer<UnsafeMutablePointer<sqlite3_vtab_cursor>?>?
        ) -> Int32 = { _, made in
            let memory = UnsafeMutablePointer<CursorMemory>.allocate(capacity: 1)
            unsafe memory.initialize(to: CursorMemory(walk: .passRetained(Walk())))
            unsafe made?.pointee = UnsafeMutableRawPointer(memory).assumingMemoryBound(
                to: sqlite3_vtab_cursor.self)
            return SQLITE_OK
        }

    private static let close: @convention(c) (Row) -> Int32 = { row in
        guard let row = unsafe row else { return SQLITE_OK }
        let memory = unsafe UnsafeMutableRawPointer(row).assumingMemoryBound(to: CursorMemory.self)
        unsafe memory.pointee.walk.release()
        unsafe memory.deinitialize(count: 1)
        unsafe memory.deallocate()
        return SQLITE_OK
    }

    private static func walk(_ row: UnsafeMutablePointer<sqlite3_vtab_cursor>) -> Walk {
        let memory = unsafe UnsafeMutableRawPointer(row).assumingMemoryBound(to: CursorMemory.self)
        return unsafe memory.pointee.walk.takeUnretainedValue()
    }

    private static let filter:
        @convention(c) (
            Row, Int32, UnsafePointer<CChar>?, Int32, UnsafeMutablePointer<OpaquePointer?>?
        ) -> Int32 = { row, number, _, _, values in
            guard let row = unsafe row, let table = unsafe row.pointee.pVtab else {
                return SQLITE_MISUSE
            }
            let memory = unsafe UnsafeMutableRawPointer(table).assumingMemoryBound(
                to: TableMemory.self)
            let found = unsafe memory.pointee.table.takeUnretainedValue()
            var plan = RecordPlan(columns: UInt64(number >> 8))
            var argument = 0
            for bound in RecordBound.allCases where number & (1 << Int32(bound.rawValue)) != 0 {
                plan.add(bound, unsafe value(values?[argument]))
                argument += 1
            }
            if plan.isFullScan { found.source.onScan(found.stream) }
            return unsafe trying(row) { walk throws(WeirError) in
                walk.scan = try RecordScan(found.stream, plan, onGap: found.source.onGap)
            }
        }

    private static func value(_ value: OpaquePointer?) -> BoundValue {
        guard let value = unsafe value else { return .other }
        switch unsafe sqlite3_value_type(value) {
        case SQLITE_INTEGER: return .integer(unsafe sqlite3_value_int64(value))
        case SQLITE_TEXT:
            guard let text = unsafe sqlite3_value_text(value) else { return .other }
            return .text(unsafe String(cString: text))
        default: return .other
        }
    }

    private static let next: @convention(c) (Row) -> Int32 = { row in
        guard let row = unsafe row else { return SQLITE_MISUSE }
        return unsafe trying(row) { walk throws(WeirError) in try walk.scan?.advance() }
    }

    /// Errors are SQLite's to tell: in the table's message.
    private static func trying(
        _ row: UnsafeMutablePointer<sqlite3_vtab_cursor>,
        _ body: (Walk) throws(WeirError) -> Void
    ) -> Int32 {
        do throws(WeirError) {
            try body(unsafe walk(row))
            return SQLITE_OK
        } catch {
            if let table = unsafe row.pointee.pVtab {
                unsafe sqlite3_free(table.pointee.zErrMsg)
                unsafe table.pointee.zErrMsg = text("\(error)")
            }
            return SQLITE_ERROR
        }
    }

    private static let isAtEnd: @convention(c) (Row) -> Int32 = { row in
        guard let row = unsafe row else { return 1 }
        return unsafe walk(row).scan?.row == nil ? 1 : 0
    }

    private static let rowID: @convention(c) (Row, UnsafeMutablePointer<Int64>?) -> Int32 = {
        row, id in
        guard let row = unsafe row, let found = unsafe walk(row).scan?.row else {
            return SQLITE_MISUSE
        }
        unsafe id?.pointee = Int64(clamping: found.offset.value)
        return SQLITE_OK
    }

    private static let column: @convention(c) (Row, OpaquePointer?, Int32) -> Int32 = {
        row, context, number in
        guard let row = unsafe row, let context = unsafe context,
            let found = unsafe walk(row).scan?.row, let column = RecordColumn(rawValue: number)
        else { return SQLITE_MISUSE }
        switch column {
        case .offset: unsafe sqlite3_result_int64(context, Int64(clamping: found.offset.value))
        case .time: unsafe give(context, text: TimeText.text(of: found.time))
        case .timeMicroseconds: unsafe sqlite3_result_int64(context, found.time.microseconds)
        case .appendTime: unsafe give(context, text: TimeText.text(of: found.appendTime))
        case .appendTimeMicroseconds:
            unsafe sqlite3_result_int64(context, found.appendTime.microseconds)
        case .key: unsafe give(context, found.key)
        case .headers:
            var out: [UInt8] = []
            JSONText.append(found.headers, to: &out)
            unsafe give(context, out)
        case .value: unsafe give(context, found.value)
        case .tombstone: unsafe sqlite3_result_int(context, found.isTombstone ? 1 : 0)
        }
        return SQLITE_OK
    }

    // MARK: values

    /// Has SQLite copy what it is given (`SQLITE_TRANSIENT`, a macro that Swift does not see).
    private static let copied = unsafe unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    private static func give(_ context: OpaquePointer, text: String) {
        unsafe give(context, Array(text.utf8))
    }

    /// Text where it is valid UTF-8, else bytes.
    private static func give(_ context: OpaquePointer, _ bytes: [UInt8]?) {
        guard let bytes else { return unsafe sqlite3_result_null(context) }
        unsafe bytes.withUnsafeBytes { buffer in
            let count = UInt64(buffer.count)
            let isText = JSONText.isText(bytes)
            // An empty array has no address, and no address would be NULL.
            guard let start = buffer.baseAddress, !bytes.isEmpty else {
                return unsafe sqlite3_result_text64(context, "", 0, copied, UInt8(SQLITE_UTF8))
            }
            if isText {
                unsafe sqlite3_result_text64(
                    context, start.assumingMemoryBound(to: CChar.self), count, copied,
                    UInt8(SQLITE_UTF8))
            } else {
                unsafe sqlite3_result_blob64(context, start, count, copied)
            }
        }
    }

    /// In SQLite's own memory, which it frees.
    private static func text(_ text: String) -> UnsafeMutablePointer<CChar>? {
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
