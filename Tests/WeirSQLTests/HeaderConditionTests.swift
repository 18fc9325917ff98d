import Foundation
import Testing
import Weir
import WeirBase

@testable import WeirSQL

private let headerValues: [HeaderValue] = [
    .string("UA"), .string("AA"), .int(5), .string("5"), .bool(true), .null, .symbol("UA"),
    .string("{\"symbol\":\"UA\"}"), .double(5), .double(0.5), .bytes([1]), .string(""),
    .unsigned(.max), .unsigned(5), .string("é"),
]

/// Records with all kinds of headers.
private func makeStreams() throws -> PairedStreams {
    try PairedStreams(
        "known", StreamConfiguration(durability: .flushed, indexedHeaders: ["carrier", "a-b"]),
        bare: StreamConfiguration(durability: .flushed)
    ) { writer in
        for number in 0..<300 {
            var batch = Batch()
            var headers: Headers = ["other": .int(Int64(number))]
            if number % 20 < headerValues.count {
                headers.append("carrier", headerValues[number % 20])
            }
            if number % 40 == 0 { headers.append("carrier", .string("AA")) }
            _ = try batch.append(headers: headers, value: Array("\(number)".utf8))
            try writer.append(&batch)
        }
    }
}

@Suite("A condition on a header")
struct HeaderConditionTests {
    private let sample: PairedStreams
    private let store: Store
    private let scans = Lock<[String]>([])

    init() throws {
        sample = try makeStreams()
        store = try Store.openBlocking(at: sample.path, .read)
    }

    private func offsets(_ stream: String, _ condition: String) throws -> [UInt64] {
        var events = RecordsDatabase.Events()
        events.onScan = { [scans] scan in scans.withLock { $0.append(scan.description) } }
        var found: [UInt64] = []
        try RecordsDatabase(store, events: events).offsets(of: stream, where: condition) {
            found.append($0.value)
            return true
        }
        return found
    }

    @Test(arguments: [
        "= 'UA'", "== 'AA'", "= '5'", "= 5", "= 1", "IS NULL", "= ''", "= 'é'", "= 0.5",
        "IN ('UA', '5')",
        "= '{\"symbol\":\"UA\"}'", "= x'01'", "= NULL", "LIKE 'u%'", "COLLATE NOCASE = 'ua'",
        "= 'UA' AND \"offset\" BETWEEN 50 AND 120", "= 'UA' OR value = '7'", "= 'nobody'",
    ])
    func `is answered as without an index`(_ condition: String) throws {
        let whole = "headers ->> 'carrier' \(condition)"
        #expect(try offsets("known", whole) == offsets("bare", whole))
        let reversed = "NOT (headers->>'carrier' \(condition))"
        #expect(try offsets("known", reversed) == offsets("bare", reversed))
    }

    @Test func `is told as a scan behind a time, where no index answers it`() throws {
        let whole = "headers ->> 'carrier' = 'UA'"
        let bounded = "append_time_us >= 0 AND \(whole)"
        #expect(try offsets("known", bounded) == offsets("known", whole))
        _ = try offsets("bare", "append_time_us >= 0")
        #expect(scans.withLock { $0 } == [])
        _ = try offsets("bare", bounded)
        let sentence =
            "The condition on headers was answered by looking at all of bare from the time on, as "
            + "no index answers it."
        #expect(scans.withLock { $0 } == [sentence])
    }

    @Test func `is looked up where the header is indexed, and told as a scan where not`() throws {
        let found = try offsets("known", "headers ->> 'carrier' = 'UA' and value <> '20'")
        #expect(found.count == 14 && found.first == 0)
        #expect(scans.withLock { $0 } == [])
        _ = try offsets("bare", "headers ->> 'carrier' = 'UA'")
        #expect(scans.withLock { $0.count } == 1)
        _ = try offsets("known", "headers ->> 'carrier' = 5")
        #expect(
            scans.withLock { $0.last }
                == "The condition on headers ->> 'carrier' was answered by looking at all of "
                + "known, as nothing in it says where to begin.")
    }

    @Test(arguments: [
        ("headers ->> 'carrier' = 'UA'", "\"headers ->> 'carrier'\" = 'UA'"),
        ("(HEADERS->>'carrier'='UA')", "(\"headers ->> 'carrier'\"='UA')"),
        ("'UA' = headers ->> 'carrier'", "'UA' = \"headers ->> 'carrier'\""),
        ("headers ->> 'other' = 1", "headers ->> 'other' = 1"),
        ("'' || headers ->> 'carrier' = 'x'", "'' || headers ->> 'carrier' = 'x'"),
        ("-headers ->> 'carrier' = 1", "-headers ->> 'carrier' = 1"),
        ("headers ->> 'carrier' ->> 'x' = 1", "headers ->> 'carrier' ->> 'x' = 1"),
        (
            "headers ->> 'carrier' collate nocase = 'a'",
            "headers ->> 'carrier' collate nocase = 'a'"
        ),
        ("value = 'headers ->> ''carrier'''", "value = 'headers ->> ''carrier'''"),
        (
            "exists (select 1 from b where headers ->> 'carrier' = 1)",
            "exists (select 1 from b where headers ->> 'carrier' = 1)"
        ),
    ])
    func `names a header's column where that changes nothing`(_ old: String, _ new: String) {
        #expect(SQLToken.naming(["headers ->> 'carrier'"], in: old) == new)
    }

    @Test func `has columns of headers that the operator takes for labels alone`() {
        let columns = HeaderColumn.all(["carrier", "Carrier", "a-b", "5", "$", "_x", "[0]"])
        #expect(columns.map(\.name) == ["headers ->> 'carrier'", "headers ->> '_x'"])
    }
}
