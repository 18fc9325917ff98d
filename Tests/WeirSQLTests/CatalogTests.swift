import Foundation
import GRDB
import Testing
import Weir
import WeirBase

@testable import WeirSQL

@Suite("Tables over the streams themselves")
struct CatalogTests {
    private let sample: SampleStore
    private var store: Store { sample.store }

    init() throws { sample = try SampleStore() }

    private func rows(_ sql: String) throws -> [[String]] {
        var found: [[String]] = []
        try RecordsDatabase(store).query(sql) { row in
            found.append(row.databaseValues.map { $0.isNull ? "-" : "\($0.storage.value ?? "")" })
            return true
        }
        return found
    }

    @Test func `tell where a stream begins and ends, and how it was made`() throws {
        let configuration = StreamConfiguration(
            durability: .interval(milliseconds: 250), compression: .automatic,
            lingerMicroseconds: 7, keyIndex: false)
        try store.createStreamBlocking("orders", configuration)
        let ends = "SELECT first_offset, end_offset, flushed_end, records FROM weir_streams "
        #expect(try rows(ends + "WHERE name = 'flights'") == [["0", "1000", "1000", "1000"]])
        #expect(
            try rows(
                "SELECT durability, sync_interval_ms, compression, visibility, linger_us, "
                    + "key_index, partition_group, first_time FROM weir_streams "
                    + "WHERE name = 'orders'")
                == [["interval", "250", "auto", "flushed", "7", "0", "-", "-"]])
    }

    @Test func `tell a partition's place`() async throws {
        _ = try await store.partitionedStream(
            "orders", creating: PartitionedConfiguration(partitions: 2))
        #expect(
            try rows(
                "SELECT name, partition_group, partition, partitions FROM weir_streams "
                    + "WHERE partition_group IS NOT NULL")
                == [["orders-0", "orders", "0", "2"], ["orders-1", "orders", "1", "2"]])
    }

    @Test func `tell segments as the stream does`() throws {
        let info = try #require(try store.streamBlocking("flights").info().segments.first)
        let first = try #require(info.firstTime)
        #expect(
            try rows(
                "SELECT segment, state, end_offset, bytes, first_time_us, file FROM weir_segments")
                == [
                    [
                        info.id, "active", "1000", "\(info.logicalBytes)",
                        "\(first.microseconds)", info.path,
                    ]
                ])
    }

    @Test func `tell blocks by which a place in the log is found`() throws {
        let stream = try store.streamBlocking("flights")
        let writer = try stream.syncWriter()
        for _ in 0..<3 {
            var batch = Batch()
            _ = batch.append(value: [UInt8](repeating: 1, count: 70_000))
            try writer.append(&batch)
        }
        let found = try rows(
            "SELECT first_offset, position, last_time_before IS NULL FROM weir_blocks")
        #expect(found.count >= 3)
        #expect(found.map { $0[2] == "1" } == found.indices.map { $0 == 0 })
        let positions = found.compactMap { Int($0[1]) }
        #expect(positions == positions.sorted() && positions.first == 4096)
    }

    @Test func `tell cursors and how far they are behind`() throws {
        try store.streamBlocking("flights").savedCursor("billing").commitBlocking(
            upTo: Offset(400))
        #expect(
            try rows(
                "SELECT stream, name, offset, lag_records, lag_bytes > 0, problem "
                    + "FROM weir_cursors")
                == [["flights", "billing", "400", "600", "1", "-"]])
    }

    @Test func `tell producers, asked for or not`() throws {
        try store.createStreamBlocking("orders", StreamConfiguration(durability: .flushed))
        #expect(try rows("SELECT * FROM weir_producers").isEmpty)
        let producer = try store.streamBlocking("orders").syncWriter().producer("loader")
        try producer.append(value: [1], id: 41)
        try producer.append(value: [1], id: 43)
        #expect(try rows("SELECT * FROM weir_producers") == [["orders", "loader", "43", "1"]])
    }

    @Test func `tell the index of keys`() throws {
        try store.createStreamBlocking("bare", StreamConfiguration(keyIndex: false))
        #expect(
            try rows("SELECT stream, end_offset + lag_records FROM weir_index")
                == [["flights", "1000"]])
    }

    /// With the condition handed to the table, and hidden from it.
    @Test(arguments: [
        "stream = 'flights'", "stream = 'FLIGHTS'", "stream = 'FLIGHTS' COLLATE NOCASE",
        "stream = NULL", "stream = 5", "stream = x'35'", "stream IN ('5', 'flights', 'none')",
        "stream = '5' OR stream = 'flights'", "stream >= 'a'", "rowid = '5'",
        "stream = '5' OR segment > ''",
    ])
    func `give the same whether the stream is looked for or all are looked at`(
        condition: String
    ) throws {
        try store.createStreamBlocking("5", StreamConfiguration(durability: .flushed))
        let select = "SELECT stream, segment FROM weir_segments WHERE "
        // A plus hides a column, and takes away that it is text.
        let hidden = condition.replacing("stream", with: "CAST(stream AS TEXT)")
        #expect(try rows(select + condition) == rows(select + hidden))
    }

    @Test func `name their columns where a statement has another`() throws {
        let error = #expect(throws: WeirError.self) { try rows("SELECT nam FROM weir_cursors") }
        #expect(error?.message.contains("columns of weir_cursors are stream, name") == true)
    }

    private func document(_ name: String) throws -> String {
        let path = URL(filePath: #filePath).appending(path: "../../../Docs/\(name)").standardized
        return try String(contentsOf: path, encoding: .utf8)
    }

    @Test func `have the columns that the index's document promises`() throws {
        let lines = try document("INDEX.md").split(separator: "\n")
        for catalog in Catalog.all {
            let columns = catalog.columns.map(\.name).joined(separator: ", ")
            #expect(lines.contains("| `\(catalog.name)` | \(columns) |"))
        }
        #expect(lines.contains { $0.hasSuffix("its name | \(RecordColumn.names) |") })
    }

    @Test func `have the columns that their own document promises`() throws {
        let text = try document("SQL.md")
        for catalog in Catalog.all {
            let section = try #require(text.components(separatedBy: "### `\(catalog.name)`").last)
            let lines = section.components(separatedBy: "\n##")[0].split(separator: "\n")
            let promised = lines.filter { $0.hasPrefix("| `") }.flatMap { line in
                line.split(separator: "|")[0].split(separator: "`").filter { $0.first != " " }
                    .filter { $0.first != "," }.map(String.init)
            }
            #expect(promised == catalog.columns.map(\.name), "of \(catalog.name)")
        }
    }
}

@Suite("The names of the streams' tables")
struct TableNamesTests {
    private func names(_ streams: [String]) throws -> [String: String] {
        let found = TableNames(try streams.map { try StreamName($0) })
        return Dictionary(
            uniqueKeysWithValues: found.all.map { ($0.stream.description, $0.table) })
    }

    @Test func `are those of the streams`() throws {
        #expect(try names(["a", "b.c"]) == ["a": "a", "b.c": "b.c"])
    }

    @Test func `differ where the streams' differ in capitals only`() throws {
        #expect(
            try names(["flights", "Flights"]) == ["Flights": "Flights", "flights": "flights_2"])
    }

    @Test func `are not taken from a stream whose own name it is`() throws {
        #expect(
            try names(["a", "A", "a_2"]) == ["A": "A", "a": "a_3", "a_2": "a_2"])
    }

    @Test func `leave Weir's and SQLite's names to these`() throws {
        #expect(
            try names(["weir_streams", "SQLite_master", "weir.cursors"])
                == [
                    "weir_streams": "_weir_streams", "SQLite_master": "_SQLite_master",
                    "weir.cursors": "weir.cursors",
                ])
    }

    @Test func `open with whatever streams there are`() throws {
        let sample = try SampleStore()
        for name in ["weir_streams", "sqlite_sequence", "select", "0", "a-b.c", "Flights"] {
            try sample.store.createStreamBlocking(name, StreamConfiguration())
        }
        var tables: [String] = []
        try RecordsDatabase(sample.store).query(
            "SELECT table_name, (SELECT count(*) FROM _weir_streams) FROM weir_streams"
        ) { row in
            tables.append(row[0])
            return true
        }
        #expect(
            tables == [
                "0", "Flights", "a-b.c", "flights_2", "select", "_sqlite_sequence",
                "_weir_streams",
            ])
    }
}
