import Weir
import WeirBase

/// A table over what a store knows of its streams, computed when it is asked.
///
/// Its first column names the stream. Rows come stream by stream, in the order of names, and part
/// by part, so that a walk that ends early has not looked at the rest.
struct Catalog: Sendable {
    typealias Row = [SQLValue]
    /// Its errors have no type: Swift 6.3.1 makes wrong code of closures in closures that throw a
    /// `WeirError`.
    typealias Part = () throws -> Step
    /// What is computed at once, and what comes behind it.
    struct Step {
        var rows: [Row] = []
        var parts: [Part] = []
    }
    typealias StepOfStream = @Sendable (CatalogSource, LogStream) throws -> Step

    let name: String
    /// Names and types.
    let columns: [(name: String, type: String)]
    /// What to compute for some streams.
    let parts: @Sendable (CatalogSource, [StreamName]) -> [Part]

    /// One part for each stream.
    static func byStream(
        _ step: @escaping StepOfStream
    ) -> @Sendable (CatalogSource, [StreamName]) -> [Part] {
        { source, names in names.map { part(of: $0, source, step) } }
    }

    private static func part(
        of name: StreamName, _ source: CatalogSource, _ step: @escaping StepOfStream
    ) -> Part {
        {
            do {
                return try step(source, source.store.streamBlocking(name.description))
            } catch let error as WeirError where error.code == .notFound {
                // Nothing is left of a stream that was deleted meanwhile.
                guard !source.store.streamNames.contains(name) else { throw error }
                return Step()
            }
        }
    }

    var declaration: String {
        let columns = columns.map { name, type in
            "\"\(name)\" \(type)\(isTime(name) ? " COLLATE \(TimeText.collation)" : "")"
        }
        return "CREATE TABLE catalog(\(columns.joined(separator: ", ")))"
    }

    /// Each time is there as a number, too, in the column behind it.
    private func isTime(_ name: String) -> Bool { columns.contains { $0.name == name + "_us" } }
}

/// What the tables of a connection are computed from.
struct CatalogSource: Sendable {
    let store: Store
    let tableNames: TableNames
}

final class CatalogTable: VirtualTable {
    fileprivate let catalog: Catalog
    fileprivate let source: CatalogSource
    /// Rows keep their ids in all walks of a connection: SQLite tells rows that it met twice by
    /// them, where a condition has an `OR`.
    private var ordinals: [SQLValue: Int64] = [:]
    private static let rowsPerStreamBits = 32

    init(_ catalog: Catalog, _ source: CatalogSource) {
        self.catalog = catalog
        self.source = source
    }

    var declaration: String { catalog.declaration }

    func plan(_ question: PlanQuestion) -> PlanAnswer {
        let equal = question.conditions.first {
            $0.column == 0 && $0.comparison == .equal && !$0.isOfTimes
        }
        guard let equal else { return PlanAnswer(cost: 1e4, rowCount: 1e4) }
        return PlanAnswer(places: [equal.place], number: 1, cost: 100, rowCount: 10)
    }

    func makeWalk() -> any TableWalk { CatalogWalk(self) }

    fileprivate func rowID(_ stream: SQLValue, _ number: Int) -> Int64 {
        let known = ordinals[stream] ?? Int64(ordinals.count)
        ordinals[stream] = known
        return known << Self.rowsPerStreamBits | Int64(number)
    }
}

private final class CatalogWalk: TableWalk {
    private let table: CatalogTable
    private var parts: ArraySlice<Catalog.Part> = []
    private var rows: ArraySlice<Catalog.Row> = []
    /// Which row of its stream it is.
    private var number = 0

    init(_ table: CatalogTable) { self.table = table }

    func begin(_ plan: Int32, _ values: [SQLValue]) throws {
        var names = table.source.store.streamNames.sorted { $0.description < $1.description }
        // A value that is no text may become one by SQLite's own rules.
        if plan == 1, case .text(let wanted) = values.first {
            names = names.filter { $0.description.utf8.elementsEqual(wanted) }
        } else if plan == 1, values.first == .null {
            names = []
        }
        parts = table.catalog.parts(table.source, names)[...]
        rows = []
        number = 0
        try fill()
    }

    func advance() throws {
        let last = rows.popFirst()
        try fill()
        number = last?.first == rows.first?.first ? number + 1 : 0
    }

    private func fill() throws {
        while rows.isEmpty, let part = parts.popFirst() {
            let step = try part()
            rows = step.rows[...]
            parts = (step.parts + parts)[...]
        }
    }

    var isAtEnd: Bool { rows.isEmpty }

    var rowID: Int64 { table.rowID(rows.first?.first ?? .null, number) }

    func value(inColumn column: Int) -> SQLValue {
        guard let row = rows.first, row.indices.contains(column) else { return .null }
        return row[column]
    }
}
