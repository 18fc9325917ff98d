import Foundation
import GRDB
import Testing
import Weir
import WeirBase

@testable import WeirSQL

@Suite("A partitioned stream as a table")
final class PartitionTableTests {
    private let path = NSTemporaryDirectory() + "weir-partitions-" + UUID().uuidString
    private let store: Store
    private let orders: PartitionedStream
    /// More than go together in one part of the view.
    private static let count = 103

    init() throws {
        store = try Store.openBlocking(at: path)
        orders = try store.partitionedStreamBlocking(
            "orders",
            creating: PartitionedConfiguration(
                partitions: Self.count, StreamConfiguration(durability: .flushed)))
        for index in [0, 99, 100, 102] {
            var batch = Batch()
            for number in 0..<10 {
                _ = try batch.append(key: Array("key \(number)".utf8), value: [UInt8(index)])
            }
            try orders.partitions[index].syncWriter().append(&batch)
        }
    }

    deinit {
        do {
            try store.closeBlocking()
            try FileManager.default.removeItem(atPath: path)
        } catch {
            Issue.record(error)
        }
    }

    private func ask(_ sql: String) throws -> (rows: [[Int64]], scans: Int) {
        let scans = Lock(0)
        var events = RecordsDatabase.Events()
        events.onScan = { _ in scans.withLock { $0 += 1 } }
        var rows: [[Int64]] = []
        try RecordsDatabase(store, events: events).query(sql) { row in
            rows.append((0..<row.count).map { row[$0] })
            return true
        }
        return (rows, scans.withLock { $0 })
    }

    @Test func `has the records of all partitions, with their numbers`() throws {
        let found = try ask("SELECT partition, count(*) FROM orders GROUP BY 1 ORDER BY 1")
        #expect(found.rows == [[0, 10], [99, 10], [100, 10], [102, 10]])
    }

    @Test func `hands conditions on to its partitions`() throws {
        let found = try ask(
            "SELECT partition, offset FROM orders WHERE key = 'key 3' AND partition > 99")
        #expect(found.rows == [[100, 3], [102, 3]])
        #expect(found.scans == 0)
    }

    @Test func `has the columns of a stream behind the number`() throws {
        let columns = try RecordsDatabase(store).columnNames(of: "orders")
        #expect(columns == ["partition"] + RecordColumn.allCases.map(\.name))
    }

    @Test func `cannot be changed`() throws {
        let error = try #require(throws: WeirError.self) { try ask("DELETE FROM orders") }
        #expect(error.message.contains("orders"))
    }

    @Test func `has another name where a stream has its own in other letters`() throws {
        try store.createStreamBlocking("ORDERS", StreamConfiguration(durability: .flushed))
        #expect(try ask("SELECT count(*) FROM ORDERS").rows == [[0]])
        #expect(try ask("SELECT count(*) FROM orders_2").rows == [[40]])
    }
}
