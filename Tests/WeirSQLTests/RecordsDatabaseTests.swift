import GRDB
import Testing
import Weir
import WeirBase

@testable import WeirSQL

@Suite("Records as tables")
struct RecordsDatabaseTests {
    private let sample: SampleStore
    private let scans = Lock<[String]>([])

    init() throws { sample = try SampleStore() }

    private func database() throws -> RecordsDatabase {
        var events = RecordsDatabase.Events()
        let scans = scans
        events.onScan = { scan in
            scans.withLock { $0.append(scan.columns.joined(separator: ", ")) }
        }
        return try RecordsDatabase(sample.store, events: events)
    }

    private func rows(_ sql: String) throws -> [[DatabaseValue]] {
        var found: [[DatabaseValue]] = []
        try database().query(sql) { row in
            found.append(Array(row.databaseValues))
            return true
        }
        return found
    }

    private func number(_ sql: String) throws -> Int {
        let value = try #require(try rows(sql).first?.first)
        return try #require(Int.fromDatabaseValue(value))
    }

    @Test func `have every record`() throws {
        #expect(try number("SELECT count(*) FROM flights") == 1000)
        #expect(try number("SELECT sum(\"offset\") FROM flights") == 499_500)
        #expect(try number("SELECT count(*) FROM flights WHERE tombstone") == 10)
        #expect(try number("SELECT count(value) FROM flights") == 990)
    }

    @Test func `show text as text, bytes as bytes, and headers as JSON`() throws {
        let row = try #require(
            try rows("SELECT time, key, headers, value FROM flights WHERE \"offset\" = 1").first)
        #expect(row[0] == "2013-06-01T00:01:00.000000Z".databaseValue)
        #expect(row[1] == "N1".databaseValue)
        #expect(row[2] == #"{"carrier":"AA","delay":1}"#.databaseValue)
        #expect(row[3] == "value 1".databaseValue)
        let types = try rows("SELECT typeof(key), count(*) FROM flights GROUP BY 1 ORDER BY 1")
        #expect(
            types == [
                ["blob".databaseValue, 100.databaseValue],
                ["text".databaseValue, 900.databaseValue],
            ])
    }

    @Test func `are asked by header`() throws {
        #expect(
            try number("SELECT count(*) FROM flights WHERE headers ->> 'carrier' = 'UA'") == 334)
        #expect(
            try number("SELECT max(headers ->> 'delay') FROM flights WHERE key = 'N3'") == 49)
    }

    /// A record a minute from midnight on, and one more at 00:03.
    @Test(arguments: [
        ("time = '2013-06-01T00:02:00Z'", 1), ("time = '2013-06-01 00:02:00'", 1),
        ("time = '2013-06-01 00:02:00.000000Z'", 1), ("time = '2013-06-01t00:02:00.000000Z'", 1),
        ("time >= '2013-06-01 00:02:00.000000Z' AND time < '2013-06-01 00:05:00.000000Z'", 4),
        ("time = '2013-06-01T02:02+02:00'", 1), ("'2013-06-01T00:02:00.000Z' = time", 1),
        ("time >= '2013-06-01T00:02:00Z' AND time < '2013-06-01T00:05:00Z'", 4),
        ("time BETWEEN '2013-05-31T23:02-01:00' AND datetime('2013-06-01 00:04:00')", 4),
        ("time IN ('2013-06-01T00:02Z', '2013-06-01T00:03:00Z', '2013-06-01')", 3),
        ("time = '2013-06-01T00:02:00Z' COLLATE BINARY", 0),
        ("time > '2013-06-01T00:02:00-01:00' COLLATE BINARY AND time < '2013-06-01T00:04'", 3),
    ])
    func `are asked by times in every way of writing them`(condition: String, count: Int) throws {
        #expect(try number("SELECT count(*) FROM flights WHERE \(condition)") == count)
    }

    @Test func `have times of streams in the same order`() throws {
        #expect(
            try number(
                "SELECT count(*) FROM weir_streams WHERE name = 'flights' AND "
                    + "first_time = '2013-05-31 23:00:00' AND last_time > '2013-06-01T12:00:00Z'")
                == 1)
    }

    /// Each with the bound, and with one that SQLite cannot hand on.
    @Test(arguments: [
        "offset BETWEEN 95 AND 205", "offset = 500", "offset > 990", "offset < 7",
        "offset >= 5 AND offset <= 5", "offset > 5.5", "offset >= '998'", "offset IN (3, 997)",
        "time >= '2013-06-01T10'", "time > '2013-06-01T10:00:00.000000Z'", "time < '2013-06-01T01'",
        "time = '2013-06-01T00:01:00.000000Z'", "time_us >= 1370080800000000",
        "time_us = 1370044860000000", "append_time >= '2020'", "append_time_us >= 0",
        "append_time_us <= 0", "offset = -1", "offset = 1 AND time >= '2013'", "offset IS NULL",
        "offset = NULL", "time BETWEEN '2013-06-01T03' AND '2013-06-01T04'", "rowid = 17",
    ])
    func `give the same with a bound as without one`(condition: String) throws {
        let quoted = condition.replacing("offset", with: "\"offset\"")
        let bare = quoted.replacing("\"offset\"", with: "(+\"offset\")")
            .replacing("time", with: "(+time)").replacing("(+time)_us", with: "(+time_us)")
            .replacing("append_(+time)", with: "(+append_time)")
            .replacing("append_(+time_us)", with: "(+append_time_us)")
        let columns = "SELECT \"offset\" FROM flights WHERE "
        // The unary plus takes a column's affinity away too: give it back to texts.
        guard !condition.contains("'998'"), !condition.contains("rowid") else {
            #expect(try rows(columns + quoted).count == (condition.contains("rowid") ? 1 : 2))
            return
        }
        #expect(
            try rows(columns + quoted + " ORDER BY \"offset\"")
                == rows(columns + bare + " ORDER BY \"offset\""))
    }

    @Test(arguments: [
        ("SELECT * FROM flights WHERE \"offset\" > 900 AND time >= '2013-06-01'", []),
        ("SELECT count(*), max(key) FROM flights -- WHERE value = 'value 7'", []),
        (
            "SELECT * FROM flights WHERE value LIKE '%7' AND headers ->> 'delay' = 1",
            [
                "headers, value"
            ]
        ),
        ("SELECT * FROM flights WHERE time < '2013-06-02' LIMIT 5 OFFSET 3", ["time"]),
        ("SELECT * FROM weir_streams WHERE records > 5", []),
        ("SELECT * FROM flights a JOIN flights b ON a.\"value\" = b.value LIMIT 1", ["value"]),
        ("SELECT count(*) FILTER (WHERE \"offset\" % 2) FROM flights ORDER BY key", ["offset"]),
    ])
    func `tell a scan that a condition on a column led to`(
        sql: String, columns: [String]
    ) throws {
        _ = try rows(sql)
        #expect(scans.withLock { $0 } == columns)
    }

    @Test func `tell a scan again to the next statement, in a sentence`() throws {
        let told = Lock<[String]>([])
        var events = RecordsDatabase.Events()
        events.onScan = { scan in told.withLock { $0.append(scan.description) } }
        let database = try RecordsDatabase(sample.store, events: events)
        for _ in 0..<2 {
            try database.offsets(of: "flights", where: "value = 'value 7'") { _ in true }
        }
        let sentence =
            "The condition on value was answered by looking at all of flights, as nothing in it "
            + "says where to begin."
        #expect(told.withLock { $0 } == [sentence, sentence])
    }

    @Test(arguments: [
        "DELETE FROM flights", "INSERT INTO flights(value) VALUES (1)", "DROP TABLE flights",
        "CREATE TABLE t(a)", "PRAGMA query_only = 0", "ATTACH '/tmp/x.sqlite' AS x", "BEGIN",
        "WITH a AS (SELECT 1) DELETE FROM flights", "SELECT 1; DELETE FROM flights",
        "SELECT nothing FROM flights", "SELECT * FROM nothing", "", "SELECT",
        "VACUUM INTO '/tmp/x'", "PRAGMA writable_schema", "SELECT load_extension('/tmp/x')",
        "DROP TABLE weir_streams", "DELETE FROM weir_cursors", "/* SELECT */ BEGIN",
        "CREATE VIRTUAL TABLE a USING weir_records('flights')",
    ])
    func `cannot be changed, and a wrong statement is told`(sql: String) throws {
        let database = try database()
        #expect(throws: WeirError.self) { try database.query(sql) { _ in true } }
        #expect(try number("SELECT count(*) FROM flights") == 1000)
    }

    @Test func `name their columns where a condition has another`() throws {
        let database = try database()
        let error = #expect(throws: WeirError.self) {
            try database.offsets(of: "flights", where: "carier = 'UA'") { _ in true }
        }
        #expect(error?.message.contains("carier") == true)
        #expect(error?.message.contains("headers, value") == true)
    }

    @Test(arguments: [
        "1) UNION SELECT 1 --", "1; DROP TABLE flights", "(1", "1)", "'", "", "  ", "1 /* a",
        "1) OR (1", "value = 'a' -- b",
    ])
    func `take one expression for a condition`(condition: String) throws {
        let database = try database()
        #expect(throws: WeirError.self) {
            try database.offsets(of: "flights", where: condition) { _ in true }
        }
    }

    @Test func `take quotes in a condition as they are`() throws {
        var found: [Offset] = []
        try database().offsets(of: "flights", where: "value = 'value 5' OR value = ');--'") {
            found.append($0)
            return true
        }
        #expect(found == [Offset(5)])
    }

    @Test func `end when somebody cancels`() throws {
        var events = RecordsDatabase.Events()
        events.isCancelled = { true }
        let database = try RecordsDatabase(sample.store, events: events)
        #expect(throws: CancellationError.self) {
            try database.query(
                "SELECT count(*) FROM flights a, flights b WHERE a.value > b.value"
            ) { _ in true }
        }
    }

    @Test func `stand beside a service's own tables`() throws {
        var configuration = Configuration()
        let store = sample.store
        configuration.prepareDatabase { db in try store.addTables(to: db) }
        let queue = try DatabaseQueue(configuration: configuration)
        let count = try queue.write { db in
            try db.execute(sql: "CREATE TABLE seen(tail TEXT)")
            try db.execute(sql: "INSERT INTO seen VALUES ('N1'), ('N2')")
            return try Int.fetchOne(
                db, sql: "SELECT count(*) FROM flights JOIN seen ON key = tail")
        }
        #expect(count == 258)
    }

    @Test func `of two names that differ in capitals are two`() throws {
        try sample.store.createStreamBlocking("Flights", StreamConfiguration())
        #expect(try number("SELECT count(*) FROM flights_2") == 1000)
        #expect(try number("SELECT count(*) FROM flights") == 0)
    }
}
