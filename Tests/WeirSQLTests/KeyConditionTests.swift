import Foundation
import GRDB
import Testing
import Weir
import WeirBase

@testable import WeirSQL

/// Records with all kinds of keys.
private func makeStreams() throws -> PairedStreams {
    try PairedStreams(
        "keys", StreamConfiguration(durability: .flushed),
        bare: StreamConfiguration(durability: .flushed, keyIndex: false)
    ) { writer in
        for start in stride(from: 0, to: 300, by: 20) {
            var batch = Batch()
            for number in start..<start + 20 {
                _ = try batch.append(
                    key: key(number), time: SampleStore.time(number),
                    value: number % 14 == 0 ? nil : Array("\(number)".utf8))
            }
            try writer.append(&batch)
        }
    }
}

private func key(_ number: Int) -> [UInt8]? {
    let others: [[UInt8]?] = [
        nil, [], [0xFF, 5], [0xFF], Array("5".utf8), Array("05".utf8), [97, 0, 98], [97],
        Array("n3".utf8), Array("N3 ".utf8), Array("5.0".utf8), Array("é".utf8),
    ]
    return number % 2 == 0 ? Array("N\(number % 7)".utf8) : others[number / 2 % others.count]
}

@Suite("A condition on the key")
struct KeyConditionTests {
    private let files: PairedStreams

    init() throws { files = try makeStreams() }

    private func ask(
        _ sql: String, _ index: IndexUse = .on
    ) throws -> (rows: [[DatabaseValue]], scans: [RecordsDatabase.Scan]) {
        let store = try Store.openBlocking(at: files.path, .read, index: index)
        let scans = Lock<[RecordsDatabase.Scan]>([])
        var events = RecordsDatabase.Events()
        events.onScan = { scan in scans.withLock { $0.append(scan) } }
        var rows: [[DatabaseValue]] = []
        try RecordsDatabase(store, events: events).query(sql) { row in
            rows.append(Array(row.databaseValues))
            return true
        }
        try store.closeBlocking()
        return (rows, scans.withLock { $0 })
    }

    @Test(arguments: [
        "key = 'N3'", "key = 'none'", "key = x'FF05'", "key = x'4E33'", "key = ''", "key = x''",
        "key = CAST(x'FF05' AS TEXT)", "key = 'é'", "key = 'a'", "key = 'a' || char(0) || 'b'",
        "key = 5", "key = 5.0", "key = '5'", "key = CAST('5' AS INTEGER)",
        "key = CAST(5 AS TEXT)", "key = NULL", "key IS NULL", "key IS NOT NULL", "key IS 'N3'",
        "key = 'n3' COLLATE NOCASE", "key COLLATE NOCASE = 'N3'", "key = 'N3' COLLATE RTRIM",
        "key IN ('N3', 'N5', 'N3', NULL, x'FF05', 5)", "key NOT IN ('N3', 'N5')",
        "key IN (SELECT 'N' || value FROM json_each('[1, 2]'))", "key > 'N3'", "key LIKE 'n3'",
        "key = 'N3' AND offset > 150", "key = 'N3' AND offset BETWEEN 40 AND 199",
        "key = 'N3' AND offset <= 10", "key = 'N3' AND time >= '2013-06-01T03'",
        "key = 'N3' AND append_time_us <= 0", "key = 'N3' AND append_time >= '2020'",
        "key = 'N3' OR offset = 5", "key = 'N3' AND key = 'N5'", "key = 'N3' OR key = 'N5'",
        "offset = 10 AND key = 'N3'", "offset = 11 AND key = 'N3'", "tombstone AND key = 'N0'",
        "key = (SELECT key FROM keys b WHERE b.offset = 10)", "value = '10' AND key = 'N3'",
    ])
    func `gives the same with an index, without one, and hidden from the table`(
        condition: String
    ) throws {
        let quoted = condition.replacing("offset", with: "\"offset\"")
        let hidden = quoted.replacing("key ", with: "(+key) ")
            .replacing("(+key) FROM", with: "key FROM")
        let select = "SELECT *, append_time IS NULL FROM keys WHERE "
        let order = " ORDER BY \"offset\""
        let expected = try ask(select + hidden + order).rows
        #expect(try ask(select + quoted + order).rows == expected)
        #expect(try ask(select + quoted + order, .off).rows == expected)
        let offsets = expected.map { $0[0] }
        let bare = quoted.replacing("FROM keys b", with: "FROM bare b")
        let rows = try ask("SELECT \"offset\" FROM bare WHERE " + bare + order).rows
        #expect(rows.map { $0[0] } == offsets)
    }

    @Test(arguments: [
        "SELECT * FROM keys WHERE key = 'N3'", "SELECT * FROM keys WHERE key IN ('N3', x'FF05')",
        "SELECT * FROM keys WHERE key = 'N3' AND value LIKE '%4'",
        "SELECT * FROM (SELECT 'N1' AS wanted UNION SELECT 'N2') JOIN keys ON key = wanted",
        "SELECT * FROM keys WHERE key = 'N3' OR \"offset\" = 5",
    ])
    func `is answered by the index`(sql: String) throws {
        let (rows, scans) = try ask(sql)
        #expect(!rows.isEmpty && scans.isEmpty)
    }

    @Test func `is told to be answered by a scan, and why`() throws {
        let sql = "SELECT count(*) FROM keys WHERE key = 'N3'"
        #expect(try ask(sql, .off).scans.first?.reason?.contains("without its index") == true)
        let scan = try #require(try ask(sql.replacing("keys", with: "bare")).scans.first)
        #expect(scan.stream.name.description == "bare" && scan.columns == ["key"])
        #expect(scan.reason == "the stream's keys are not indexed")
        #expect(try ask("\(sql) AND \"offset\" > 100", .off).scans.isEmpty)
    }

    @Test func `of a list is no list of scans where there is no index`() throws {
        let condition = PlanQuestion.Condition(
            column: Int(RecordColumn.key.rawValue), comparison: .equal, isOfTimes: false,
            isList: true, place: 3)
        let store = try Store.openBlocking(at: files.path, .read)
        let listener = RecordTable.Listener(onGap: { _ in }, onScan: { _ in })
        for (name, places) in [("keys", [3]), ("bare", [])] {
            let table = RecordTable(try store.streamBlocking(name), listener)
            #expect(table.plan(PlanQuestion(conditions: [condition])).places == places)
        }
        try store.closeBlocking()
    }
}
