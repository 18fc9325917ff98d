public import GRDB
public import Weir
import WeirBase

extension Store {
    /// Makes a table of each stream, and those over the streams themselves, in a SQLite connection
    /// of the caller's own, beside the tables that are there. They are temporary: they go with the
    /// connection, and nothing is written.
    ///
    /// ```swift
    /// configuration.prepareDatabase { db in try store.addTables(to: db) }
    /// ```
    ///
    /// A stream's table has its name, unless another has it (`Docs/SQL.md`); `weir_streams` tells.
    /// A partitioned stream is a view of its partitions' tables, if it has all of them.
    /// Streams that are created later have no table until this is called for another connection.
    public func addTables(
        to db: Database, events: RecordsDatabase.Events = RecordsDatabase.Events()
    ) throws {
        guard let connection = unsafe db.sqliteConnection else {
            throw WeirError(.closed, "The SQLite connection is closed; open it again.")
        }
        let groups = partitionedStreams.filter(\.isWhole)
        let names = TableNames(streamNames + groups.map(\.name))
        let listener = RecordTable.Listener(onGap: events.onGap, onScan: events.onScan)
        unsafe try TimeText.registerCollation(on: connection)
        unsafe try TableModule.register("weir_records", on: connection) {
            (name: String) throws(WeirError) in
            RecordTable(try self.streamBlocking(name), listener)
        }
        let source = CatalogSource(store: self, tableNames: names)
        unsafe try TableModule.register("weir_catalog", on: connection) {
            (name: String) throws(WeirError) in
            guard let catalog = Catalog.all.first(where: { $0.name == name }) else {
                throw WeirError(.notFound, "There is no table \(name) over a store's streams.")
            }
            return CatalogTable(catalog, source)
        }
        let made =
            streamNames.compactMap { stream in
                names[stream].map { ($0, "weir_records('\(stream)')") }
            } + Catalog.all.map { ($0.name, "weir_catalog('\($0.name)')") }
        // Names have no quotes in them.
        for (table, module) in made {
            try db.execute(sql: "CREATE VIRTUAL TABLE temp.\"\(table)\" USING \(module)")
        }
        for group in groups {
            let partitions = group.partitions.compactMap { names[$0] }
            // One may have been deleted since.
            guard let table = names[group.name], partitions.count == group.partitionCount
            else { continue }
            try db.execute(
                sql: "CREATE TEMP VIEW \"\(table)\" AS \(Self.union(of: partitions))")
        }
    }

    /// All partitions under one another. SQLite takes 500 parts in a statement, so they go together
    /// by hundreds.
    private static func union(of partitions: [String]) -> String {
        let parts = partitions.enumerated().map {
            "SELECT \($0.offset) AS \"partition\", * FROM temp.\"\($0.element)\""
        }
        guard parts.count > 100 else { return parts.joined(separator: " UNION ALL ") }
        return stride(from: 0, to: parts.count, by: 100).map { start in
            let some = parts[start..<min(start + 100, parts.count)].joined(separator: " UNION ALL ")
            return "SELECT * FROM (\(some))"
        }.joined(separator: " UNION ALL ")
    }
}
