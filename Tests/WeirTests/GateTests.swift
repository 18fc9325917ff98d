import Foundation
import Testing
import Weir
import WeirBase

@Suite("The gate of a stream")
struct GateTests {
    private let folder = TemporaryFolder()

    /// A stream whose gate is shut: a consumer has released nothing, and two records are there.
    private func openShut(
        _ admission: ProducerPolicy.Admission, cap: Duration = .seconds(3600)
    ) async throws -> (Store, LogStream) {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init(durability: .flushed))
        try stream.setProducerPolicy(
            ProducerPolicy(
                admission: admission, lagBound: .init(consumers: ["c"], records: 1, cap: cap)))
        stream.consumer("c", released: .zero)
        try await stream.append(value: bytes("one"))
        try await stream.append(value: bytes("two"))
        #expect(stream.endOffset == 2)
        return (store, stream)
    }

    private func makeBatch(_ count: Int) -> Batch {
        var batch = Batch()
        for _ in 0..<count {
            let isAdded = batch.append(value: bytes("x"))
            #expect(isAdded)
        }
        return batch
    }

    private func report(_ stream: LogStream) throws -> FlowReport.Gate {
        try #require(stream.gateReport())
    }

    /// Until so many appends wait.
    private func waitFor(_ count: Int, at stream: LogStream) async throws {
        while try report(stream).waiting != count { await Task.yield() }
    }

    private func count(_ kind: SignalKind, _ store: Store) -> Int {
        store.signalCounts.values.reduce(0) { $0 + $1[kind].count }
    }

    @Test func `refuses at once who is to fail fast, and nothing is appended`() async throws {
        let (store, stream) = try await openShut(.failFast)
        var batch = makeBatch(1)
        let writer = try stream.syncWriter()
        for attempt in 0..<4 {
            do {
                switch attempt {
                case 0: try await stream.append(value: bytes("three"))
                case 1: try await stream.append(&batch)
                case 2: _ = try stream.enqueue(value: bytes("three"))
                default: try writer.append(value: bytes("three"))
                }
                Issue.record("attempt \(attempt) was not refused")
            } catch {
                #expect((error as? WeirError)?.code == .wouldBlock, "\(error)")
            }
        }
        let left = batch.recordCount
        #expect(left == 1)
        #expect(stream.endOffset == 2)
        #expect(count(.gateRefused, store) == 4)
        #expect(count(.gateClosed, store) == 1)
        stream.consumer("c", released: 2)
        try await stream.append(&batch)
        #expect(stream.endOffset == 3)
        #expect(try report(stream).usedBytes == 0)
        try await store.close()
    }

    @Test func `lets nobody wait for longer than its timeout, and nothing is appended`()
        async throws
    {
        let (store, stream) = try await openShut(.wait(timeout: .milliseconds(5)))
        let error = await #expect(throws: WeirError.self) {
            try await stream.append(value: bytes("three"))
        }
        #expect(error?.code == .timedOut)
        let writer = try stream.syncWriter()
        let blocking = await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                do throws(WeirError) {
                    try writer.append(value: bytes("three"))
                    continuation.resume(returning: WeirError?.none)
                } catch {
                    continuation.resume(returning: error)
                }
            }
        }
        #expect(blocking?.code == .timedOut)
        #expect(stream.endOffset == 2)
        #expect(try report(stream).waiting == 0)
        #expect(count(.gateRefused, store) == 2)
        try await store.close()
    }

    @Test func `lets a cancelled task leave at once, and nothing is appended`() async throws {
        let (store, stream) = try await openShut(.wait())
        let task = Task { try await stream.append(value: bytes("three")) }
        try await waitFor(1, at: stream)
        task.cancel()
        await #expect(throws: CancellationError.self) { _ = try await task.value }
        #expect(try report(stream).waiting == 0)
        stream.consumer("c", released: 2)
        #expect(stream.endOffset == 2)
        #expect(try report(stream).isOpen)
        try await store.close()
    }

    @Test func `holds producers until the consumer releases, in the order in which they came`()
        async throws
    {
        let (store, stream) = try await openShut(.wait())
        let asked = AsyncStream.makeStream(of: Void.self)
        let id = stream.releaseRequests.add { asked.continuation.yield() }
        #expect(try !report(stream).isOpen)
        var tasks: [Task<Receipt, any Error>] = []
        for number in 0..<3 {
            tasks.append(Task { try await stream.append(value: bytes("\(number)")) })
            try await waitFor(number + 1, at: stream)
        }
        #expect(stream.endOffset == 2)
        // Each that passes fills the bound again, and has the consumer asked.
        for (number, task) in tasks.enumerated() {
            stream.consumer("c", released: Offset(UInt64(number) + 1))
            let receipt = try await task.value
            #expect(receipt.offset == Offset(UInt64(number) + 2))
        }
        var requests = asked.stream.makeAsyncIterator()
        await requests.next()
        stream.releaseRequests.remove(id)
        stream.consumer("c", released: 5)
        #expect(try report(stream).isOpen)
        try await store.close()
    }

    @Test func `opens with an alarm when a consumer lags for longer than the cap`() async throws {
        let (store, stream) = try await openShut(.wait(), cap: .milliseconds(5))
        for _ in 0..<10 { try await stream.append(value: bytes("x")) }
        #expect(stream.endOffset == 12)
        #expect(count(.gateCapped, store) == 1)
        let report = try report(stream)
        #expect(report.isOpen)
        #expect(report.lagRecords == 12)
        try await store.close()
    }

    @Test func `names the consumer for whom producers wait, and that of the alarm`() async throws {
        let (store, stream) = try await openShut(.failFast)
        let refused = await #expect(throws: WeirError.self) {
            try await stream.append(value: bytes("three"))
        }
        #expect(refused?.message.contains("the consumer c is 2 behind") == true)
        let signals = store.signals
        try stream.setProducerPolicy(
            ProducerPolicy(
                lagBound: .init(consumers: ["c"], records: 1, cap: .milliseconds(1))))
        try await stream.append(value: bytes("three"))
        try await store.close()
        let told = await signals.reduce(into: [Signal]()) { $0.append($1) }
        let alarm = try #require(told.first { $0.kind == .gateCapped })
        #expect(alarm.source.consumer == "c")
        #expect(alarm.source.variant == "adaptive+lag+prefetch")
        #expect(alarm.detail.contains("2 records behind"))
    }

    @Test func `opens for a consumer that is gone, once the cap is over`() async throws {
        let (store, stream) = try await openShut(.wait(), cap: .milliseconds(5))
        stream.consumerEnded("c")
        try await stream.append(value: bytes("three"))
        #expect(count(.gateCapped, store) == 1)
        #expect(try report(stream).lagRecords == nil)
        try await store.close()
    }

    @Test func `lets those who wait pass when another policy does`() async throws {
        let (store, stream) = try await openShut(.wait())
        let task = Task { try await stream.append(value: bytes("three")) }
        try await waitFor(1, at: stream)
        try stream.setProducerPolicy(ProducerPolicy())
        #expect(try await task.value.offset == 2)
        try await store.close()
    }

    @Test func `tells who is to enqueue when it may`() async throws {
        let (store, stream) = try await openShut(.failFast)
        #expect(throws: WeirError.self) { _ = try stream.enqueue(value: bytes("three")) }
        let task = Task { try await stream.ready() }
        try await waitFor(1, at: stream)
        stream.consumer("c", released: 2)
        try await task.value
        let pending = try stream.enqueue(value: bytes("three"))
        #expect(try await pending.receipt().offset == 2)
        #expect(try report(stream).usedRecords == 0)
        try await store.close()
    }

    @Test func `turns away who waits when the store closes`() async throws {
        let (store, stream) = try await openShut(.wait())
        let task = Task { try await stream.append(value: bytes("three")) }
        try await waitFor(1, at: stream)
        try await store.close()
        let error = await #expect(throws: WeirError.self) { _ = try await task.value }
        #expect(error?.code == .closed)
    }

    @Test func `never lets more pass than its permits, however many ask`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init(durability: .durable))
        try stream.setProducerPolicy(ProducerPolicy(permits: Credit(bytes: 400, records: 5)))
        let sampler = Task {
            var most = Credit.zero
            var waitingMost = 0
            while !Task.isCancelled {
                guard let report = stream.gateReport() else { break }
                most.bytes = max(most.bytes, report.usedBytes)
                most.records = max(most.records, report.usedRecords)
                waitingMost = max(waitingMost, report.waiting)
                await Task.yield()
            }
            return (most, waitingMost)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<64 {
                group.addTask {
                    for _ in 0..<10 {
                        try await stream.append(
                            value: [UInt8](repeating: 1, count: number + 1))
                    }
                }
            }
            try await group.waitForAll()
        }
        sampler.cancel()
        let (most, waitingMost) = await sampler.value
        #expect(Credit(bytes: 400, records: 5).covers(most), "\(most) were out")
        #expect(waitingMost > 0)
        #expect(stream.endOffset == 640)
        let report = try report(stream)
        #expect(report.usedBytes == 0 && report.usedRecords == 0 && report.isOpen)
        try await store.close()
    }

    @Test func `lets a batch larger than its permits pass alone`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init(durability: .flushed))
        try stream.setProducerPolicy(
            ProducerPolicy(permits: Credit(bytes: 1, records: 1), admission: .failFast))
        var batch = makeBatch(1000)
        let receipt = try await stream.append(&batch)
        #expect(receipt.recordCount == 1000)
        // Whoever has a receipt finds the permits given back.
        for _ in 0..<100 { try await stream.append(value: bytes("x")) }
        try await store.close()
    }

    @Test func `gives permits back of an append that failed`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init(durability: .flushed))
        await #expect(throws: WeirError.self) {
            try await stream.append(value: [UInt8](repeating: 1, count: 2 << 20))
        }
        var batch = makeBatch(1)
        do {
            try await stream.append(&batch, expecting: 7)
            Issue.record("another offset was taken")
        } catch {
            #expect((error as? WeirError)?.code == .unexpectedOffset)
        }
        let report = try report(stream)
        #expect(report.usedBytes == 0 && report.usedRecords == 0)
        try await store.close()
    }

    @Test(arguments: [
        ProducerPolicy(permits: .zero),
        ProducerPolicy(permits: Credit(bytes: -1, records: 1)),
        ProducerPolicy(permits: Credit(bytes: 1, records: 0)),
        ProducerPolicy(permits: Credit(bytes: .max, records: 1)),
        ProducerPolicy(admission: .wait(timeout: .zero)),
        ProducerPolicy(admission: .wait(timeout: .seconds(-1))),
        ProducerPolicy(admission: .wait(timeout: .nanoseconds(1))),
        ProducerPolicy(admission: .wait(timeout: .seconds(Int64.max))),
        ProducerPolicy(lagBound: .init(records: 0)),
        ProducerPolicy(lagBound: .init(records: -7)),
        ProducerPolicy(lagBound: .init(records: .max)),
        ProducerPolicy(lagBound: .init(records: 1, cap: .zero)),
        ProducerPolicy(lagBound: .init(records: 1, cap: .seconds(-1))),
        ProducerPolicy(lagBound: .init(records: 1, cap: .seconds(1 << 40))),
        ProducerPolicy(lagBound: .init(consumers: [], records: 1)),
        ProducerPolicy(lagBound: .init(consumers: ["a", ""], records: 1)),
        ProducerPolicy(lagBound: .init(consumers: ["a", "b", "a"], records: 1)),
        ProducerPolicy(lagBound: .init(consumers: ["a b"], records: 1)),
        ProducerPolicy(
            lagBound: .init(consumers: [String(repeating: "c", count: 129)], records: 1)),
        ProducerPolicy(lagBound: .init(consumers: (0..<9999).map { "\($0)" }, records: 1)),
    ]) func `refuses a policy that is absurd or contradicts itself`(_ policy: ProducerPolicy)
        async throws
    {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init(durability: .flushed))
        let error = #expect(throws: WeirError.self) { try stream.setProducerPolicy(policy) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains("expected") == true)
        #expect(stream.producerPolicy == ProducerPolicy())
        try await store.close()
    }
}
