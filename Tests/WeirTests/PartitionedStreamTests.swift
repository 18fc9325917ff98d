import Testing
import Weir
import WeirBase

@Suite("A partitioned stream")
struct PartitionedStreamTests {
    private let folder = TemporaryFolder()

    private func open(
        _ partitions: Int = 4, durability: Durability = .flushed
    ) async throws -> (Store, PartitionedStream) {
        let store = try await Store.open(at: folder.path)
        let orders = try await store.partitionedStream(
            "orders", creating: .init(partitions: partitions, .init(durability: durability)))
        return (store, orders)
    }

    private func code(_ body: () async throws -> Void) async -> WeirError.Code? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? WeirError)?.code
        }
    }

    @Test func `has no further partition that somebody names by a slip`() async throws {
        let (store, _) = try await open()
        #expect(
            await code { _ = try await store.stream("orders-4", creating: .init()) }
                == .invalidArgument)
        #expect(
            await code { try store.createStreamBlocking("orders-04", .init()) } == .invalidArgument)
        for name in ["orders-x", "orders4", "others-4"] {
            _ = try await store.stream(name, creating: .init())
        }
        try await store.close()
    }

    @Test func `keeps the records of a key together, and in order, over a restart`() async throws {
        var (store, orders) = try await open()
        for number in 0..<100 {
            let receipt = try await orders.append(
                key: "k\(number % 7)", value: bytes("\(number)"))
            #expect(receipt.partition == orders.partition(for: "k\(number % 7)"))
        }
        try await store.close()
        (store, orders) = try await open()
        #expect(orders.partitions.map(\.name.description) == (0..<4).map { "orders-\($0)" })
        for (index, partition) in orders.partitions.enumerated() {
            let records = try partition.all()
            #expect(records.allSatisfy { orders.partition(for: $0.key ?? []) == index })
            let numbers = records.compactMap { Int(text($0.value)) }
            #expect(numbers == numbers.sorted())
        }
        #expect(try orders.report().records == 100)
        try await store.close()
    }

    @Test func `gives records without a key to each partition in turn`() async throws {
        let (store, orders) = try await open()
        for number in 0..<8 {
            let receipt = try await orders.append(value: bytes("x"))
            #expect(receipt.partition == number % 4)
        }
        let receipt = try await orders.append(key: "k", value: bytes("x"), routing: .roundRobin)
        #expect(receipt.partition == 0)
        try await store.close()
    }

    @Test func `finds the records of a key in its partition`() async throws {
        let (store, orders) = try await open()
        for number in 0..<40 {
            try await orders.append(key: "k\(number % 5)", value: bytes("\(number)"))
        }
        var records = try orders.records(key: "k3")
        var found: [String] = []
        while case .record(let record) = try records.next() { found.append(text(record.value)) }
        #expect(found == stride(from: 3, to: 40, by: 5).map { "\($0)" })
        try await store.close()
    }

    @Test func `takes the cursors of its partitions along when it is deleted`() async throws {
        let (store, orders) = try await open()
        for partition in orders.partitions { try await partition.savedCursor("c").commit(upTo: 0) }
        #expect(try await store.cursors().count == 4)
        try await store.deletePartitionedStream("orders")
        // Of each a commit and a tombstone.
        #expect(try await store.stream("weir.cursors").endOffset == 8)
        try await store.close()
    }

    @Test func `gives a record to the partition that is named`() async throws {
        let (store, orders) = try await open()
        let pending = try orders.enqueue(key: bytes("k"), value: bytes("x"), routing: .partition(3))
        #expect(try await pending.receipt().partition == 3)
        #expect(orders.partitions[3].endOffset == 1)
        for index in [-1, 4] {
            let found = await code {
                try await orders.append(value: bytes("x"), routing: .partition(index))
            }
            #expect(found == .invalidArgument)
        }
        try await store.close()
    }

    @Test func `is one object, whoever opens it`() async throws {
        let (store, orders) = try await open()
        #expect(try await store.partitionedStream("orders") === orders)
        #expect(try await store.stream("orders-2") === orders.partitions[2])
        try await store.close()
        #expect(await code { _ = try await store.partitionedStream("orders") } == .closed)
    }

    @Test func `shows which partition is hot`() async throws {
        let (store, orders) = try await open()
        for _ in 0..<9 { try await orders.append(value: bytes("x"), routing: .partition(2)) }
        try await orders.append(value: bytes("x"), routing: .partition(0))
        let report = try orders.report()
        let hottest = try #require(report.hottest)
        #expect(hottest.stream == "orders-2")
        #expect(report.rows.map(\.records) == [1, 0, 9, 0])
        #expect(report.rows.map(\.recordsSinceOpen) == [1, 0, 9, 0])
        #expect(report.share(hottest) == 0.9)
        #expect(hottest.bytes > 0)
        try await store.close()
        let (again, reopened) = try await open()
        let after = try reopened.report()
        #expect(after.recordsSinceOpen == 0)
        #expect(after.hottest?.partition == 2)
        #expect(after.shareSinceOpen(after.rows[2]) == 0)
        try await again.close()
    }

    @Test func `has a partition that stands still leave the others alone`() async throws {
        let (store, orders) = try await open()
        try orders.setProducerPolicy(
            ProducerPolicy(
                admission: .failFast,
                lagBound: .init(consumers: ["c"], records: 1, cap: .seconds(3600))))
        // A consumer that takes nothing, in one partition.
        orders.partitions[1].consumer("c", released: .zero)
        for partition in orders.partitions where partition !== orders.partitions[1] {
            partition.consumer("c", released: .zero)
            partition.consumerEnded("c")
        }
        var refused = 0
        for number in 0..<40 {
            do {
                let receipt = try await orders.append(
                    value: bytes("x"), routing: .partition(number % 4))
                if number % 4 != 1 {
                    orders.partitions[number % 4].consumer("c", released: receipt.offset + 1)
                }
            } catch let error as WeirError where error.code == .wouldBlock {
                #expect(number % 4 == 1)
                refused += 1
            }
        }
        #expect(orders.partitions.map(\.endOffset) == [10, 2, 10, 10])
        #expect(refused == 8)
        let error = #expect(throws: WeirError.self) {
            try orders.enqueue(value: bytes("x"), routing: .partition(1))
        }
        #expect(error?.place?.stream == "orders-1")
        try await store.close()
    }

    @Test func `is refused where names or numbers do not fit`() async throws {
        let (store, _) = try await open()
        _ = try await store.stream("single", creating: .init())
        _ = try await store.stream("other-1", creating: .init())
        func making(_ name: String, _ count: Int) async -> WeirError.Code? {
            await code {
                _ = try await store.partitionedStream(name, creating: .init(partitions: count))
            }
        }
        #expect(await making("orders", 5) == .invalidArgument)
        #expect(await making("none", 0) == .invalidArgument)
        #expect(await making("none", 1025) == .invalidArgument)
        #expect(await making("weir.none", 1) == .invalidArgument)
        #expect(await making(String(repeating: "n", count: 127), 1) == .invalidArgument)
        #expect(await making("single", 2) == .alreadyExists)
        #expect(await making("orders-1", 2) == .alreadyExists)
        #expect(await making("other", 2) == .alreadyExists)
        // Nothing is left of what was refused.
        #expect(store.partitionedStreams.map(\.name.description) == ["orders"])
        #expect(await code { _ = try await store.stream("orders") } == .notFound)
        #expect(
            await code { _ = try await store.stream("orders", creating: .init()) }
                == .alreadyExists)
        #expect(await code { _ = try await store.partitionedStream("single") } == .notFound)
        #expect(await code { _ = try await store.partitionedStream("none") } == .notFound)
        try await store.close()
    }

    @Test func `goes whole, and never a partition alone`() async throws {
        let (store, orders) = try await open()
        #expect(await code { try await store.deleteStream("orders-1") } == .invalidArgument)
        #expect(await code { try await store.deleteStream("orders") } == .notFound)
        try await orders.append(value: bytes("x"))
        try await store.deletePartitionedStream("orders")
        #expect(store.streamNames.isEmpty)
        #expect(await code { try await orders.append(value: bytes("x")) } == .closed)
        #expect(await code { try await store.deletePartitionedStream("orders") } == .notFound)
        let again = try await store.partitionedStream("orders", creating: .init(partitions: 2))
        #expect(again !== orders)
        try await store.close()
    }

    @Test func `lends its settings to a stream that stands alone`() async throws {
        let (store, orders) = try await open()
        let settings = orders.partitions[0].configuration
        #expect(settings.partition?.index == 0)
        let copy = try await store.stream("copy", creating: settings)
        #expect(copy.configuration.partition == nil)
        #expect(copy.configuration.durability == .flushed)
        try await store.close()
    }

    @Test func `can be read beside its writer`() async throws {
        let (store, orders) = try await open()
        try await orders.append(key: "k", value: bytes("x"))
        let reading = try await Store.open(at: folder.path, .read)
        let seen = try await reading.partitionedStream("orders", creating: .init(partitions: 4))
        #expect(try seen.report().records == 1)
        #expect(reading.partitionedStreams.map(\.isWhole) == [true])
        try await reading.close()
        try await store.close()
    }
}
