import GRDBSQLite
import WeirBase

/// A module of SQLite's that makes virtual tables: the boundary to C.
///
/// What SQLite calls are functions without context; each finds its object behind the structure that
/// SQLite hands back, which begins with SQLite's own part.
enum TableModule {
    /// Makes a table of the argument that `CREATE VIRTUAL TABLE … USING module(argument)` has.
    typealias Factory = (String) throws(WeirError) -> any VirtualTable

    private final class Maker {
        let make: Factory
        init(_ make: @escaping Factory) { self.make = make }
    }

    private final class HeldTable {
        let table: any VirtualTable
        init(_ table: any VirtualTable) { self.table = table }
    }

    private final class HeldWalk {
        let walk: any TableWalk
        init(_ walk: any TableWalk) { self.walk = walk }
    }

    @unsafe private struct TableMemory {
        var base = unsafe sqlite3_vtab()
        var held: Unmanaged<HeldTable>
    }

    @unsafe private struct CursorMemory {
        var base = unsafe sqlite3_vtab_cursor()
        var held: Unmanaged<HeldWalk>
    }

    /// Makes the module known to a connection, which keeps the factory as long as it lives.
    static func register(
        _ name: String, on connection: OpaquePointer, _ make: @escaping Factory
    ) throws(WeirError) {
        let held = unsafe Unmanaged.passRetained(Maker(make)).toOpaque()
        let code = unsafe sqlite3_create_module_v2(
            connection, name, module, held,
            { pointer in
                guard let pointer = unsafe pointer else { return }
                unsafe Unmanaged<Maker>.fromOpaque(pointer).release()
            })
        guard code == SQLITE_OK else {
            let reason = unsafe String(cString: sqlite3_errmsg(connection))
            throw WeirError(
                .system, "SQLite did not take the tables of \(name) (code \(code)): \(reason).")
        }
    }

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

    /// The fourth argument is the module's own, as it was written.
    private static let connect: Connect = { database, maker, count, arguments, made, message in
        guard count == 4, let maker = unsafe maker, let argument = unsafe arguments?[3] else {
            return SQLITE_MISUSE
        }
        let factory = unsafe Unmanaged<Maker>.fromOpaque(maker).takeUnretainedValue()
        do throws(WeirError) {
            let table = try factory.make(unquoted(unsafe String(cString: argument)))
            let code = unsafe sqlite3_declare_vtab(database, table.declaration)
            guard code == SQLITE_OK else { return code }
            let memory = UnsafeMutablePointer<TableMemory>.allocate(capacity: 1)
            unsafe memory.initialize(to: TableMemory(held: .passRetained(HeldTable(table))))
            unsafe made?.pointee = UnsafeMutableRawPointer(memory).assumingMemoryBound(
                to: sqlite3_vtab.self)
            return SQLITE_OK
        } catch {
            unsafe message?.pointee = SQLValue.memory("\(error)")
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
        unsafe memory.pointee.held.release()
        unsafe memory.deinitialize(count: 1)
        unsafe memory.deallocate()
        return SQLITE_OK
    }

    private static func table(_ table: UnsafeMutablePointer<sqlite3_vtab>) -> any VirtualTable {
        let memory = unsafe UnsafeMutableRawPointer(table).assumingMemoryBound(
            to: TableMemory.self)
        return unsafe memory.pointee.held.takeUnretainedValue().table
    }

    // MARK: planning

    private static let bestIndex:
        @convention(c) (
            UnsafeMutablePointer<sqlite3_vtab>?, UnsafeMutablePointer<sqlite3_index_info>?
        ) -> Int32 = { table, info in
            guard let table = unsafe table, let info = unsafe info else { return SQLITE_MISUSE }
            let answer = unsafe Self.table(table).plan(question(info))
            for (argument, place) in answer.places.enumerated() {
                unsafe info.pointee.aConstraintUsage[place].argvIndex = Int32(argument + 1)
            }
            unsafe info.pointee.idxNum = answer.number
            unsafe info.pointee.estimatedCost = answer.cost
            unsafe info.pointee.estimatedRows = Int64(max(1, answer.rowCount))
            if answer.isUnique { unsafe info.pointee.idxFlags = SQLITE_INDEX_SCAN_UNIQUE }
            if answer.isOrdered { unsafe info.pointee.orderByConsumed = 1 }
            return SQLITE_OK
        }

    private static func question(
        _ info: UnsafeMutablePointer<sqlite3_index_info>
    ) -> PlanQuestion {
        var question = PlanQuestion()
        for place in 0..<Int(unsafe info.pointee.nConstraint) {
            let constraint = unsafe info.pointee.aConstraint[place]
            // Other collations take for equal what the table tells apart.
            guard constraint.usable != 0, let comparison = comparison(Int32(constraint.op)),
                let collation = unsafe sqlite3_vtab_collation(info, Int32(place))
            else { continue }
            let order = unsafe String(cString: collation).lowercased()
            guard order == "binary" || order == TimeText.collation else { continue }
            let isList = unsafe sqlite3_vtab_in(info, Int32(place), -1) != 0
            question.conditions.append(
                PlanQuestion.Condition(
                    column: Int(constraint.iColumn), comparison: comparison,
                    isOfTimes: order == TimeText.collation, isList: isList, place: place))
        }
        question.columns = unsafe info.pointee.colUsed
        if unsafe info.pointee.nOrderBy == 1, unsafe info.pointee.aOrderBy[0].desc == 0 {
            question.order = Int(unsafe info.pointee.aOrderBy[0].iColumn)
        }
        return question
    }

    private static func comparison(_ code: Int32) -> PlanQuestion.Comparison? {
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
        ) -> Int32 = { table, made in
            guard let table = unsafe table else { return SQLITE_MISUSE }
            let walk = HeldWalk(unsafe Self.table(table).makeWalk())
            let memory = UnsafeMutablePointer<CursorMemory>.allocate(capacity: 1)
            unsafe memory.initialize(to: CursorMemory(held: .passRetained(walk)))
            unsafe made?.pointee = UnsafeMutableRawPointer(memory).assumingMemoryBound(
                to: sqlite3_vtab_cursor.self)
            return SQLITE_OK
        }

    private static let close: @convention(c) (Row) -> Int32 = { row in
        guard let row = unsafe row else { return SQLITE_OK }
        let memory = unsafe UnsafeMutableRawPointer(row).assumingMemoryBound(to: CursorMemory.self)
        unsafe memory.pointee.held.release()
        unsafe memory.deinitialize(count: 1)
        unsafe memory.deallocate()
        return SQLITE_OK
    }

    private static func walk(_ row: UnsafeMutablePointer<sqlite3_vtab_cursor>) -> any TableWalk {
        let memory = unsafe UnsafeMutableRawPointer(row).assumingMemoryBound(to: CursorMemory.self)
        return unsafe memory.pointee.held.takeUnretainedValue().walk
    }

    private static let filter:
        @convention(c) (
            Row, Int32, UnsafePointer<CChar>?, Int32, UnsafeMutablePointer<OpaquePointer?>?
        ) -> Int32 = { row, number, _, count, values in
            guard let row = unsafe row else { return SQLITE_MISUSE }
            let handed = (0..<Int(count)).map { unsafe SQLValue(values?[$0]) }
            return unsafe trying(row) { walk in try walk.begin(number, handed) }
        }

    private static let next: @convention(c) (Row) -> Int32 = { row in
        guard let row = unsafe row else { return SQLITE_MISUSE }
        return unsafe trying(row) { walk in try walk.advance() }
    }

    /// Errors are SQLite's to tell: in the table's message.
    private static func trying(
        _ row: UnsafeMutablePointer<sqlite3_vtab_cursor>,
        _ body: (any TableWalk) throws -> Void
    ) -> Int32 {
        do {
            try body(unsafe walk(row))
            return SQLITE_OK
        } catch {
            if let table = unsafe row.pointee.pVtab {
                unsafe sqlite3_free(table.pointee.zErrMsg)
                unsafe table.pointee.zErrMsg = SQLValue.memory("\(error)")
            }
            return SQLITE_ERROR
        }
    }

    private static let isAtEnd: @convention(c) (Row) -> Int32 = { row in
        guard let row = unsafe row else { return 1 }
        return unsafe walk(row).isAtEnd ? 1 : 0
    }

    private static let rowID: @convention(c) (Row, UnsafeMutablePointer<Int64>?) -> Int32 = {
        row, id in
        guard let row = unsafe row, !(unsafe walk(row).isAtEnd) else { return SQLITE_MISUSE }
        unsafe id?.pointee = walk(row).rowID
        return SQLITE_OK
    }

    private static let column: @convention(c) (Row, OpaquePointer?, Int32) -> Int32 = {
        row, context, number in
        guard let row = unsafe row, let context = unsafe context, !(unsafe walk(row).isAtEnd)
        else { return SQLITE_MISUSE }
        unsafe walk(row).value(inColumn: Int(number)).give(to: context)
        return SQLITE_OK
    }
}
