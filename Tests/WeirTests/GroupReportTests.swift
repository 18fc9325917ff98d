import Testing
import WeirBase
import WeirFlow

@testable import Weir

@Suite("A report on a group")
struct GroupReportTests {
    private let folder = TemporaryFolder()
    private let clock = TestClock()

    @Test func `tells who has what, how far behind it is, and which partition is hot`()
        async throws
    {
        let store = try await Store.open(at: folder.path)
        let orders = try await store.partitionedStream("orders", creating: .init(partitions: 2))
        let group = try orders.group(
            "billing", .init(lease: .seconds(10)), around: clock.surroundings)
        for partition in [0, 1, 1, 1, 1] {
            try await orders.append(value: bytes("x"), routing: .partition(partition))
        }
        let names = ["a", "b", "c"]
        var members: [GroupMember] = []
        for name in names { members.append(try await group.join(name)) }
        let batch = try #require(try await members[0].nextBatch())
        try await members[0].commit(batch)
        _ = try #require(try await members[1].nextBatch())
        clock.pass(3)
        let report = try await group.report()
        #expect(report.members.map(\.name) == names)
        #expect(report.members.map(\.partitions) == [[0], [1], []])
        #expect(report.partitions.map(\.member) == ["a", "b"])
        #expect(report.partitions.map(\.isAtWork) == [false, true])
        #expect(report.partitions.map(\.leaseMilliseconds) == [7000, 7000])
        #expect(report.variant == "adaptive+lag+prefetch")
        #expect(report.partitions.map(\.committedOffset) == [1, nil])
        #expect(report.partitions.map(\.lagRecords) == [0, 4])
        #expect(report.partitions.map(\.endOffset) == [1, 4])
        #expect(report.partitions[1].lagBytes ?? 0 > 0)
        #expect(report.partitions[1].lagMicroseconds != nil)
        #expect(report.partitions.map(\.deliveredRecords) == [1, 1])
        #expect(report.hottest?.stream == "orders-1")
        // From another process, as the operator asks.
        let told = try Store.groups(ofStoreAt: folder.path, stream: "orders")
        #expect(told.map(\.members) == [report.members])
        #expect(try Store.groups(ofStoreAt: folder.path).count == 1)
        let error = #expect(throws: WeirError.self) {
            try Store.groups(ofStoreAt: folder.path, stream: "none")
        }
        #expect(error?.code == .notFound)
        try await store.close()
    }

    @Test func `tells the records a second of the last ten`() {
        var meter = DeliveryMeter(start: .zero)
        func second(_ number: Int64) -> Moment { Moment(nanoseconds: number * 1_000_000_000) }
        for number in 0..<20 {
            meter.note(records: 5, bytes: 50, at: second(Int64(number)))
        }
        #expect(meter.recordsPerSecond(at: second(19)) == 5)
        #expect(meter.recordsPerSecond(at: second(40)) == 0)
        #expect(meter.records == 100 && meter.bytes == 1000)
    }
}
