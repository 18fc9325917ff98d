import Testing
import WeirBase

@testable import Weir

@Suite("A consumer")
struct ConsumerTests {
    private let folder = TemporaryFolder()

    /// A stream of batches of so many bytes each, one record a batch.
    private func stream(
        batches: Int, of byteCount: Int = 1000, _ store: Store
    ) async throws -> LogStream {
        let stream = try await store.stream(
            "s", creating: .init(durability: .flushed, batchBytesMax: 64 << 10))
        for _ in 0..<batches {
            try await stream.append(value: [UInt8](repeating: 1, count: byteCount))
        }
        return stream
    }

    private func report(_ stream: LogStream) throws -> FlowReport.Consumer {
        try #require(stream.consumerReports().first)
    }

    @Test func `reads everything once and in order, whatever its window`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await stream(batches: 200, store)
        for window in [Credit(bytes: 1, records: 1), Credit(bytes: 2500, records: 3)] {
            let subscription = try stream.subscribe(
                from: .first, .init(mode: .fixed(window)))
            for expected in 0..<200 {
                let batch = try #require(try await subscription.nextBatch())
                #expect(batch.firstOffset == Offset(UInt64(expected)))
            }
        }
        try await store.close()
    }

    @Test func `that grants by hand gets what it granted and one batch, and no more`()
        async throws
    {
        let store = try await Store.open(at: folder.path)
        let stream = try await stream(batches: 10, store)
        let subscription = try stream.subscribe(from: .first, .init(mode: .manual))
        await #expect(throws: WeirError.self) {
            _ = try await subscription.nextBatch(timeout: .milliseconds(50))
        }
        // Two batches have more than 2,000 bytes: the second is an overdraft.
        try subscription.grant(Credit(bytes: 1500, records: 10))
        for _ in 0..<2 { #expect(try await subscription.nextBatch() != nil) }
        let error = await #expect(throws: WeirError.self) {
            _ = try await subscription.nextBatch(timeout: .milliseconds(50))
        }
        #expect(error?.code == .timedOut)
        try subscription.grant(Credit(bytes: 5000, records: 1))
        #expect(try await subscription.nextBatch(timeout: .seconds(10)) != nil)
        let sum = store.signalCounts.values.reduce(0) { $0 + $1[.overdraft].count }
        #expect(sum >= 1)
        try await store.close()
    }

    private func count(_ kind: SignalKind, _ store: Store) -> Int {
        store.signalCounts.values.reduce(0) { $0 + $1[kind].count }
    }

    @Test func `is told as exhausted when its credit is used up to the last byte`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await stream(batches: 3, store)
        let subscription = try stream.subscribe(from: .first, .init(mode: .manual))
        let patience = Duration.milliseconds(20)
        let error = await #expect(throws: WeirError.self) {
            _ = try await subscription.nextBatch(timeout: patience)
        }
        // Nothing was granted, and there is something to read.
        #expect(error?.message.contains("0 bytes and 0 records of credit are left") == true)
        #expect(count(.exhausted, store) == 1)
        let size = try #require(try await stream.subscribe(from: .first).nextBatch()).byteCount
        for expected in 0..<3 {
            try subscription.grant(Credit(bytes: size, records: 1))
            let batch = try await subscription.nextBatch(timeout: .seconds(10))
            #expect(batch?.firstOffset == Offset(UInt64(expected)))
            await #expect(throws: WeirError.self) {
                _ = try await subscription.nextBatch(timeout: patience)
            }
        }
        // Behind the last batch there is nothing that it could lack credit for.
        #expect(count(.exhausted, store) == 3)
        #expect(count(.resumed, store) == 3)
        try await store.close()
    }

    @Test func `that grants by hand has what it granted as its window`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await stream(batches: 10, store)
        let subscription = try stream.subscribe(from: .first, .init(mode: .manual))
        #expect(try report(stream).windowBytes == 0)
        try subscription.grant(Credit(bytes: 50_000, records: 4))
        #expect(try report(stream).windowBytes == 50_000)
        let batch = try #require(try await subscription.nextBatch(timeout: .seconds(10)))
        // What is out is part of it, until it is released.
        #expect(try report(stream).windowBytes == 50_000)
        #expect(try report(stream).windowRecords == 4)
        try batch.release()
        #expect(try report(stream).windowRecords == 3)
        try await store.close()
    }

    @Test func `gives credit back by release, once, and holds none for what it keeps`()
        async throws
    {
        let store = try await Store.open(at: folder.path)
        let stream = try await stream(batches: 4, store)
        let subscription = try stream.subscribe(
            from: .first, .init(mode: .fixed(Credit(bytes: 1500, records: 2))))
        let first = try #require(try await subscription.nextBatch())
        try first.release()
        #expect(throws: WeirError.self) { try first.release() }
        #expect(throws: WeirError.self) { try first.keep() }
        let second = try #require(try await subscription.nextBatch())
        try second.keep()
        try second.keep()
        #expect(try report(stream).keptBytes == second.byteCount)
        let third = try #require(try await subscription.nextBatch())
        // Kept is not released: everything below the kept batch is.
        #expect(try report(stream).releasedOffset == 1)
        try second.release()
        #expect(try report(stream).keptBytes == 0)
        #expect(throws: WeirError.self) { try second.release() }
        #expect(third.firstOffset == 2)
        try await store.close()
    }

    @Test func `is refused a grant after its end, and where it has a window`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await stream(batches: 1, store)
        let manual = try stream.subscribe(from: .first, .init(mode: .manual))
        for credit in [
            Credit.zero, Credit(bytes: -1, records: 5), Credit(bytes: .max, records: .max),
        ] {
            #expect(throws: WeirError.self) { try manual.grant(credit) }
        }
        manual.cancel()
        let late = #expect(throws: WeirError.self) {
            try manual.grant(Credit(bytes: 1, records: 1))
        }
        #expect(late?.code == .closed)
        #expect(try await manual.nextBatch() == nil)
        let fixed = try stream.subscribe(
            from: .first, .init(mode: .fixed(Credit(bytes: 1, records: 1))))
        #expect(throws: WeirError.self) { try fixed.grant(Credit(bytes: 1, records: 1)) }
        try await store.close()
    }

    @Test(arguments: [
        SubscriptionOptions(mode: .fixed(.zero)),
        SubscriptionOptions(mode: .fixed(Credit(bytes: -5, records: 1))),
        SubscriptionOptions(mode: .fixed(Credit(bytes: 1 << 40, records: 1))),
        SubscriptionOptions(knobs: FlowKnobs(latencyBudget: .zero)),
        SubscriptionOptions(whenFull: .wait(timeout: .zero)),
        SubscriptionOptions(consumer: ""),
        SubscriptionOptions(consumer: "a\u{1B}[2J"),
    ]) func `with options outside their range is refused`(options: SubscriptionOptions)
        async throws
    {
        let store = try await Store.open(at: folder.path)
        let stream = try await stream(batches: 0, store)
        let error = #expect(throws: WeirError.self) {
            _ = try stream.subscribe(from: .first, options)
        }
        #expect(error?.code == .invalidArgument)
        try await store.close()
    }

    @Test func `with retries or a stall time outside their range is refused`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await stream(batches: 0, store)
        var bad: [SubscriptionOptions] = []
        for time in [Duration.zero, .seconds(-1), .seconds(Int64.max), .seconds(Int64.min)] {
            bad.append(.init())
            bad[bad.count - 1].stallTimeout = time
            bad.append(.init())
            bad[bad.count - 1].retry.first = time
            bad.append(.init())
            bad[bad.count - 1].retry.cap = time
        }
        for attempts in [-1, 1001, .max, .min] {
            bad.append(.init())
            bad[bad.count - 1].retry.attempts = attempts
        }
        bad.append(.init())
        bad[bad.count - 1].retry = RetryPolicy(first: .seconds(2), cap: .seconds(1))
        for options in bad {
            let error = #expect(throws: WeirError.self) {
                _ = try stream.subscribe(from: .first, options)
            }
            #expect(error?.code == .invalidArgument)
            #expect(error?.message.contains("expected") == true)
        }
        try await store.close()
    }

    @Test func `is refused nothing once it has ended, so that release may stand in a defer`()
        async throws
    {
        let store = try await Store.open(at: folder.path)
        let stream = try await stream(batches: 2, store)
        let subscription = try stream.subscribe(from: .first)
        let kept = try #require(try await subscription.nextBatch())
        try kept.keep()
        let held = try #require(try await subscription.nextBatch())
        subscription.cancel()
        try held.keep()
        for _ in 0..<2 {
            try held.release()
            try kept.release()
        }
        #expect(stream.consumerReports().isEmpty)
        #expect(store.flowReport().budget.usedBytes == 0)
        #expect(kept.map(\.offset) == [0])
        #expect(held.map(\.value) == [[UInt8](repeating: 1, count: 1000)])
        try await store.close()
    }

    @Test func `with a timeout of zero is told so`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await stream(batches: 1, store)
        let subscription = try stream.subscribe(from: .first)
        let error = await #expect(throws: WeirError.self) {
            _ = try await subscription.nextBatch(timeout: .zero)
        }
        #expect(error?.code == .invalidArgument)
        #expect(throws: WeirError.self) {
            try subscription.nextBatchBlocking(timeout: .seconds(-1))
        }
        try await store.close()
    }

    @Test func `is told when its stream is deleted, and when the store is closed`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await stream(batches: 0, store)
        let deleted = try stream.subscribe(from: .first)
        async let batch = deleted.nextBatch()
        try await store.deleteStream("s")
        do {
            _ = try await batch
            Issue.record("nothing was thrown")
        } catch {
            #expect((error as? WeirError)?.message.contains("was deleted") == true)
        }
        #expect(throws: WeirError.self) { _ = try stream.subscribe(from: .first) }
        let policy = #expect(throws: WeirError.self) {
            try stream.setProducerPolicy(ProducerPolicy())
        }
        #expect(policy?.message.contains("was deleted") == true)
        let other = try await store.stream("t", creating: .init())
        let closed = try other.subscribe(from: .first)
        async let second = closed.nextBatch()
        try await store.close()
        do {
            _ = try await second
            Issue.record("nothing was thrown")
        } catch {
            #expect((error as? WeirError)?.code == .closed)
        }
    }

    @Test func `that is asked by two tasks at once tells the second`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await stream(batches: 0, store)
        let subscription = try stream.subscribe(from: .first)
        let first = Task { try await subscription.nextBatch() }
        while try !report(stream).isWaiting { await Task.yield() }
        let error = await #expect(throws: WeirError.self) {
            _ = try await subscription.nextBatch()
        }
        #expect(error?.code == .invalidArgument)
        let blocking = #expect(throws: WeirError.self) {
            try subscription.nextEventBlocking(timeout: .milliseconds(1))
        }
        #expect(blocking?.code == .invalidArgument)
        first.cancel()
        #expect(try await first.value == nil)
        try await store.close()
    }

    @Test func `goes on where it stopped, in another loop`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await stream(batches: 4, store)
        let subscription = try stream.subscribe(from: .first)
        var found: [UInt64] = []
        for try await batch in subscription {
            found.append(batch.firstOffset.value)
            if found.count == 2 { break }
        }
        for try await batch in subscription {
            found.append(batch.firstOffset.value)
            if found.count == 4 { break }
        }
        #expect(found == [0, 1, 2, 3])
        try await store.close()
    }
}
