import Testing
import WeirBase

@testable import Weir

@Suite("Flow control in a store")
struct FlowTests {
    private let folder = TemporaryFolder()

    private func stream(
        _ store: Store, batches: Int, batchBytesMax: Int = 64 << 10
    ) async throws -> LogStream {
        let stream = try await store.stream(
            "s", creating: .init(durability: .flushed, batchBytesMax: batchBytesMax))
        for _ in 0..<batches {
            try await stream.append(value: [UInt8](repeating: 1, count: 1000))
        }
        return stream
    }

    @Test func `lets a named consumer hold its producers back until it releases`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await stream(store, batches: 0)
        var policy = ProducerPolicy(admission: .failFast)
        policy.lagBound = .init(consumers: ["slow"], records: 3, cap: .seconds(3600))
        try stream.setProducerPolicy(policy)
        let slow = try stream.subscribe(from: .first, as: "slow")
        try await stream.append(value: [1])
        let first = try #require(try await slow.nextBatch())
        #expect(first.firstOffset == 0)
        for _ in 0..<3 { try await stream.append(value: [1]) }
        let refused = await #expect(throws: WeirError.self) {
            while true { try await stream.append(value: [1]) }
        }
        #expect(refused?.code == .wouldBlock)
        let end = stream.endOffset
        // At its own pace: what it releases, the producers may append.
        while try await slow.nextBatch().map({ $0.endOffset < end }) ?? false {}
        try await stream.append(value: [1])
        let counts = store.signalCounts
        #expect(counts.values.contains { $0[.gateClosed].count > 0 })
        #expect(counts.values.contains { $0[.gateOpened].count > 0 })
        try await store.close()
    }

    @Test func `asks its consumers how far they are when producers come to wait for them`()
        async throws
    {
        let store = try await Store.open(at: folder.path)
        let stream = try await stream(store, batches: 5)
        let slow = try stream.subscribe(from: .first, as: "slow")
        _ = try await slow.nextBatch()
        // Set while the consumer is there: it has told what it released, and to nobody.
        var policy = ProducerPolicy(admission: .failFast)
        policy.lagBound = .init(consumers: ["slow"], records: 2, cap: .seconds(3600))
        try stream.setProducerPolicy(policy)
        let refused = await #expect(throws: WeirError.self) {
            for _ in 0..<10 { try await stream.append(value: [1]) }
        }
        #expect(refused?.code == .wouldBlock)
        try await store.close()
    }

    @Test func `lets nobody's lag hold producers back where that is off`() async throws {
        let store = try await Store.open(at: folder.path)
        try store.setFlowFlags(FlowFlags(lagBoundProducers: .off))
        let stream = try await stream(store, batches: 0)
        var policy = ProducerPolicy(admission: .failFast)
        policy.lagBound = .init(records: 1, cap: .seconds(3600))
        try stream.setProducerPolicy(policy)
        let slow = try stream.subscribe(from: .first, as: "slow")
        try await stream.append(value: [1])
        _ = try await slow.nextBatch()
        for _ in 0..<20 { try await stream.append(value: [1]) }
        #expect(try #require(store.flowReport().consumers.first).variant == "adaptive+prefetch")
        try await store.close()
    }

    @Test func `gives what is appended after a subscription, however late it asks`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await stream(store, batches: 3)
        let subscription = try stream.subscribe()
        for _ in 0..<2 { try await stream.append(value: [7]) }
        #expect(try await subscription.nextBatch(timeout: .seconds(30))?.firstOffset == 3)
        try await store.close()
    }

    @Test func `tells who waits for the budget that the stream was deleted`() async throws {
        let store = try await Store.open(at: folder.path, subscriptionBytes: 1 << 20)
        let stream = try await stream(store, batches: 1, batchBytesMax: 1 << 20)
        let other = try await store.stream("t", creating: .init())
        let holder = try other.subscribe()
        let waiting = try stream.subscribe(from: .first)
        let batch = Task { try await waiting.nextBatch() }
        while store.flowReport().budget.waiting == 0 { await Task.yield() }
        try await store.deleteStream("s")
        let error = await #expect(throws: WeirError.self) { _ = try await batch.value }
        #expect(error?.message.contains("was deleted") == true)
        #expect(store.flowReport().budget.waiting == 0)
        holder.cancel()
        try await store.close()
    }

    @Test func `lets nobody hold the line for the budget who was let go`() async throws {
        let store = try await Store.open(at: folder.path, subscriptionBytes: 1 << 20)
        let stream = try await stream(store, batches: 1, batchBytesMax: 1 << 20)
        let holder = try stream.subscribe(from: .first)
        do {
            let impatient = try stream.subscribe(from: .first)
            await #expect(throws: WeirError.self) {
                _ = try await impatient.nextBatch(timeout: .milliseconds(1))
            }
        }
        #expect(store.flowReport().budget.waiting == 0)
        holder.cancel()
        try await store.close()
    }

    @Test func `refuses percentages outside 0 to 100`() async throws {
        let store = try await Store.open(at: folder.path)
        for share in [-1, 101, .max, .min] {
            #expect(throws: WeirError.self) {
                try store.setFlowFlags(FlowFlags(prefetch: .percentage(share)))
            }
        }
        try store.setFlowFlags(FlowFlags(prefetch: .percentage(0)))
        try await store.close()
    }

    @Test func `keeps a consumer in its share, and has about as many as were asked for`() {
        let flags = FlowFlags(adaptiveWindow: .percentage(30), prefetch: .percentage(30))
        let names = (0..<10_000).map { "consumer-\($0)" }
        let adaptive = names.filter { flags.variant(for: $0).adaptiveWindow }
        #expect((2800...3200).contains(adaptive.count))
        // The shares of two mechanisms have nothing to do with each other.
        let both = adaptive.filter { flags.variant(for: $0).prefetch }
        #expect((700...1100).contains(both.count))
        #expect(flags.variant(for: "billing") == flags.variant(for: "billing"))
        // Fixed for ever: another hash would give every consumer another variant.
        #expect(stableHash("adaptive/billing") == 0xe008_7092_9fe3_3e0e)
    }

    @Test func `admits who fits into the budget, and lets the next wait, or refuses it by name`()
        async throws
    {
        let store = try await Store.open(at: folder.path, subscriptionBytes: 1 << 20)
        let stream = try await stream(store, batches: 3, batchBytesMax: 512 << 10)
        let first = try stream.subscribe(from: .first)
        let second = try stream.subscribe(from: .first)
        let refused = #expect(throws: WeirError.self) {
            _ = try stream.subscribe(from: .first, as: "third", .init(whenFull: .fail))
        }
        #expect(refused?.code == .exhausted)
        #expect(refused?.message.contains("third") == true)
        let late = try stream.subscribe(
            from: .first, as: "late", .init(whenFull: .wait(timeout: .milliseconds(20))))
        let timedOut = await #expect(throws: WeirError.self) { _ = try await late.nextBatch() }
        #expect(timedOut?.code == .exhausted)
        let patient = try stream.subscribe(from: .first, as: "patient")
        let batch = Task { try await patient.nextBatch() }
        while store.flowReport().budget.waiting == 0 { await Task.yield() }
        first.cancel()
        #expect(try await batch.value?.firstOffset == 0)
        #expect(try await second.nextBatch()?.firstOffset == 0)
        let names = store.signalCounts.filter { $0.value[.budgetWaited].count > 0 }.map(\.key)
        #expect(Set(names.map(\.consumer)) == ["late", "patient"])
        try await store.close()
    }

    @Test func `refuses by name a consumer of batches that are larger than its budget`()
        async throws
    {
        let store = try await Store.open(at: folder.path, subscriptionBytes: 1 << 20)
        let stream = try await stream(store, batches: 1, batchBytesMax: 2 << 20)
        for policy in [BudgetPolicy.fail, .wait(timeout: nil)] {
            let refused = #expect(throws: WeirError.self) {
                _ = try stream.subscribe(from: .first, as: "large", .init(whenFull: policy))
            }
            #expect(refused?.code == .exhausted)
            #expect(refused?.message.contains("large") == true)
        }
        #expect(store.flowReport().budget.waiting == 0)
        try await store.close()
    }

    @Test(arguments: [0, -1, .min, .max, Limits.subscriptionBytesMin - 1])
    func `is refused a budget outside its range`(byteCount: Int) async throws {
        let error = await #expect(throws: WeirError.self) {
            _ = try await Store.open(at: folder.path, subscriptionBytes: byteCount)
        }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains("\(byteCount)") == true)
    }

    @Test func `keeps the window of a consumer for whom it is not to be adaptive`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await stream(store, batches: 400, batchBytesMax: 4 << 10)
        try store.setFlowFlags(FlowFlags(adaptiveWindow: .off))
        let subscription = try stream.subscribe(from: .first, as: "fixed")
        for _ in 0..<400 { _ = try await subscription.nextBatch() }
        let consumer = try #require(store.flowReport().consumers.first)
        #expect(consumer.mode == "fixed")
        #expect(consumer.windowBytes == 8 << 10)
        #expect(store.signalCounts.values.allSatisfy { $0[.grew].count == 0 })
        try await store.close()
    }

    @Test func `counts the signals of a partition as that partition's`() async throws {
        let store = try await Store.open(at: folder.path)
        let orders = try await store.partitionedStream("orders", creating: .init(partitions: 2))
        let partition = orders.partitions[1]
        try partition.subscribe(as: "c").cancel()
        let sources = store.signalCounts.keys.filter { $0.stream == partition.name.description }
        #expect(!sources.isEmpty)
        #expect(sources.allSatisfy { $0.partition == 1 })
        try await store.close()
    }

    @Test func `grows the window of a consumer that starves, and tells it`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await stream(store, batches: 0)
        for _ in 0..<400 { try await stream.append(value: [UInt8](repeating: 1, count: 60_000)) }
        let subscription = try stream.subscribe(
            from: .first, as: "fast",
            .init(knobs: FlowKnobs(latencyBudget: .milliseconds(20))))
        let start = try #require(store.flowReport().consumers.first?.windowBytes)
        for _ in 0..<400 { _ = try await subscription.nextBatch() }
        #expect(try #require(store.flowReport().consumers.first).windowBytes > start)
        let source = SignalSource(
            stream: "s", consumer: "fast", variant: "adaptive+lag+prefetch")
        let grew = store.signalCounts[source]?[.grew]
        #expect(try #require(grew).count > 0)
        #expect(grew?.last != nil)
        try await store.close()
    }

    @Test func `tells its signals to whoever listens, and ends with the store`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await stream(store, batches: 1)
        let signals = store.signals
        let subscription = try stream.subscribe(from: .first, as: "c", .init(mode: .conservative))
        subscription.cancel()
        try await store.close()
        var kinds: [SignalKind] = []
        for await signal in signals where signal.source.consumer == "c" {
            kinds.append(signal.kind)
        }
        #expect(kinds == [.degraded, .cancelled])
    }

    @Test func `reports what a consumer holds, and how long records took`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await stream(store, batches: 0)
        let subscription = try stream.subscribe(from: .first, as: "c")
        let batch = Task { try await subscription.nextBatch() }
        while try !#require(store.flowReport().consumers.first).isWaiting { await Task.yield() }
        try await stream.append(value: [UInt8](repeating: 1, count: 1000))
        let held = try #require(try await batch.value)
        var report = store.flowReport(stream: "s")
        #expect(report.consumers.first?.leasedBytes == held.byteCount)
        let since = try #require(report.consumers.first?.leaseMicroseconds)
        while true {
            let now = try #require(store.flowReport().consumers.first?.leaseMicroseconds)
            if now > since { break }
            await Task.yield()
        }
        #expect(report.consumers.first?.lagRecords == 1)
        try held.release()
        report = store.flowReport(stream: "s")
        #expect(report.consumers.first?.leasedBytes == 0)
        #expect(report.consumers.first?.leaseMicroseconds == nil)
        #expect(report.consumers.first?.lagRecords == 0)
        #expect(report.consumers.first?.releasedOffset == 1)
        #expect(report.latencies.map(\.what) == ["append to delivery", "delivery to release"])
        #expect(report.latencies.allSatisfy { $0.count == 1 && $0.max >= $0.p50 })
        #expect(store.flowReport(stream: "t").consumers.isEmpty)
        try await store.close()
    }
}
