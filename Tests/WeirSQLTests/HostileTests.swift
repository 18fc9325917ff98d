import Foundation
import GRDB
import Testing
import Weir
import WeirBase
import WeirSQL

/// Names, records and conditions that somebody made to break things.
@Suite("Hostile SQL and records")
struct HostileTests {
    private let folder = NSTemporaryDirectory() + "weir-hostile-" + UUID().uuidString
    private let store: Store

    init() throws { store = try Store.openBlocking(at: folder) }

    private func fill(_ name: String, _ records: [(key: [UInt8], time: Timestamp)]) throws {
        let writer = try store.streamBlocking(name, creating: .init(durability: .flushed))
            .syncWriter()
        var batch = Batch()
        for (key, time) in records {
            _ = try batch.append(
                key: key, headers: [#"a"b'c\"#: "']; --\u{0}"], time: time, value: key)
        }
        try writer.append(&batch)
    }

    private func rows(_ sql: String) throws -> [[DatabaseValue]] {
        var found: [[DatabaseValue]] = []
        try RecordsDatabase(store).query(sql) { row in
            found.append(Array(row.databaseValues))
            return true
        }
        return found
    }

    private func end() throws {
        try store.closeBlocking()
        try FileManager.default.removeItem(atPath: folder)
    }

    /// The columns are there to be computed, so that every value is made.
    @Test func `records are rows whatever their bytes and times are`() throws {
        let keys: [[UInt8]] = [
            Array("'; DROP TABLE flights; --".utf8), [0], [0xFF, 0xFE], Array("a\u{0}b".utf8), [],
        ]
        let times = [
            Timestamp.distantPast, .distantFuture, Timestamp(microseconds: 0),
            Timestamp(microseconds: -1), Timestamp(microseconds: 253_402_300_800_000_000),
        ]
        try fill("s", Array(zip(keys, times)))
        let found = try rows("SELECT \"offset\", time, time_us, headers, key, value FROM s")
        #expect(found.map { $0[0] } == (0..<5).map { Int64($0).databaseValue })
        #expect(found.map { $0[2] } == times.map { $0.microseconds.databaseValue })
        #expect(found[0][4] == "'; DROP TABLE flights; --".databaseValue)
        #expect(found.allSatisfy { $0[1].storage.value is String })
        #expect(
            try rows("SELECT json_valid(headers) FROM s").allSatisfy { $0 == [1.databaseValue] })
        try end()
    }

    @Test(arguments: [
        "time >= '99999-99-99'", "time < '-1'", "time > ''", "time = x'00'", "time >= 9e999",
        "time_us > 9223372036854775807", "time_us < -9223372036854775808", "time_us >= 9e999",
        "time_us <= -9e999", "time_us > '292277026596-12-04'", "append_time_us > 1e300",
        "time BETWEEN 'z' AND 'a'", "time_us IN (NULL, 9223372036854775807)",
        "\"offset\" > 18446744073709551615", "\"offset\" >= -9223372036854775808",
        "\"offset\" < 1e300", "\"offset\" = 'x'", "key = zeroblob(70000)",
    ])
    func `absurd bounds give what a walk over all rows gives`(condition: String) throws {
        let times = [Timestamp.distantPast, .distantFuture, Timestamp(microseconds: 5)]
        try fill("s", times.map { (Array("k".utf8), $0) })
        // A subquery that SQLite keeps apart gets no bound to hand on.
        let all = "(SELECT * FROM s LIMIT -1)"
        let columns = "SELECT \"offset\" FROM "
        #expect(
            try rows(columns + "s WHERE \(condition) ORDER BY 1")
                == rows(columns + "\(all) WHERE \(condition) ORDER BY 1"))
        try end()
    }

    @Test(arguments: [
        "SELECT load_extension('/tmp/none')", "SELECT writefile('/tmp/none', 'a')",
        "PRAGMA writable_schema = 1", "PRAGMA temp_store_directory = '/tmp'",
        "CREATE TEMP TABLE t AS SELECT 1", "CREATE VIRTUAL TABLE temp.t USING fts5(a)",
        "INSERT INTO sqlite_schema VALUES (1, 1, 1, 1, 1)", "UPDATE s SET value = 1",
        "REPLACE INTO s(value) VALUES (1)", "REINDEX", "VACUUM", "ANALYZE", "DETACH main",
        "SAVEPOINT a", "COMMIT", "EXPLAIN DELETE FROM s; DELETE FROM s",
        "SELECT zeroblob(2000000000) || zeroblob(2000000000)",
        "SELECT \(String(repeating: "(", count: 3000))1\(String(repeating: ")", count: 3000))",
        "SELECT * FROM s WHERE key = '",
    ])
    func `statements that would change, load or exhaust something are errors`(sql: String) throws {
        try fill("s", [(Array("k".utf8), Timestamp(microseconds: 5))])
        #expect(throws: WeirError.self) { try rows(sql) }
        #expect(try rows("SELECT count(*) FROM s") == [[1.databaseValue]])
        try end()
    }

    @Test(arguments: ["select", "main", "temp", "weir", "rowid", "a.b-c_d", "json_each"])
    func `a stream may have any name that a stream can have`(name: String) throws {
        try fill(name, [(Array("k".utf8), Timestamp(microseconds: 5))])
        #expect(try rows("SELECT count(*) FROM \"\(name)\"") == [[1.databaseValue]])
        #expect(try offsets(of: name) == [Offset(0)])
        try end()
    }

    @Test(arguments: ["sqlite_schema", "weir_streams", "S"])
    func `a condition is on the stream, whatever its table is called`(name: String) throws {
        try fill("s", [(Array("other".utf8), Timestamp(microseconds: 5))])
        try fill(name, [(Array("k".utf8), Timestamp(microseconds: 5))])
        #expect(try offsets(of: name) == [Offset(0)])
        #expect(try offsets(of: "s") == [])
        #expect(throws: WeirError.self) { try offsets(of: "no such stream") }
        try end()
    }

    @Test(arguments: ["k' OR 'a' = 'a", "'; DROP TABLE s; --", "?", ":name", "k\\"])
    func `arguments of a condition are never read as SQL`(text: String) throws {
        try fill("s", [(Array(text.utf8), .distantPast), (Array("k".utf8), .distantPast)])
        let database = try RecordsDatabase(store)
        for (condition, arguments) in [
            ("key = ?", [text] as StatementArguments), ("key = :key", ["key": text]),
        ] {
            var found: [Offset] = []
            try database.offsets(of: "s", where: condition, arguments) {
                found.append($0)
                return true
            }
            #expect(found == [Offset(0)])
        }
        try end()
    }

    @Test(arguments: [[], ["k", "k"]] as [StatementArguments])
    func `arguments are as many as a condition has places for`(_ arguments: StatementArguments)
        throws
    {
        try fill("s", [(Array("k".utf8), .distantPast)])
        let error = #expect(throws: WeirError.self) {
            try RecordsDatabase(store).offsets(of: "s", where: "key = ?", arguments) { _ in true }
        }
        #expect(error?.code == .invalidArgument)
        try end()
    }

    private func offsets(of name: String) throws -> [Offset] {
        var offsets: [Offset] = []
        try RecordsDatabase(store).offsets(of: name, where: "key = 'k'") {
            offsets.append($0)
            return true
        }
        return offsets
    }
}
