import Testing
import WeirBase
import WeirFormat
import WeirLog

/// The queue's part in appends of named producers; who leads is played by the tests.
@Suite("The queue of a producer's appends")
struct RepeatTests {
    private typealias Queue = CommitQueue<Int>
    private let name = ProducerName(stored: Array("loader".utf8))
    private let other = ProducerName(stored: Array("other".utf8))

    /// Adds an append; `nil` if it is a repeat.
    private func add(
        _ queue: inout Queue, _ id: UInt64, of name: ProducerName? = nil, last: UInt64? = nil,
        bytes: Int = 10
    ) throws -> Queue.Action? {
        let publishing = Publishing(name: name ?? self.name, id: id)
        let call = Queue.Repeat(
            publishing, recordCount: 1, level: .durable, permits: .zero, waiter: Int(id))
        let entry = last.map { ProducerTable.Entry(lastPublishingID: $0, offset: .zero) }
        if try queue.join(call, last: entry) != nil { return nil }
        let value = [UInt8](repeating: 1, count: bytes)
        return try queue.append(
            permits: .zero, level: .durable, waiter: Int(id), publishing: publishing
        ) { builder throws(WeirError) in builder.append(value: value.span.bytes) }
    }

    private func take(
        _ queue: inout Queue
    ) throws -> (batches: [Queue.Batch], repeats: [Queue.Repeat]) {
        let group = queue.takeGroup()
        return try #require(group)
    }

    private func ids(_ batches: [Queue.Batch]) -> [Int] {
        batches.flatMap { $0.calls.map(\.waiter) }
    }

    private let full = WeirError(.noSpace, "The disk is full.")

    @Test func `takes ids that rise, holes and all, and no other`() throws {
        var queue = Queue(batchBytesMax: 4096)
        let isNew = try [1, 2, 7, 7, 3, 8].map { try self.add(&queue, $0) != nil }
        #expect(isNew == [true, true, true, false, false, true])
        let group = try take(&queue)
        #expect(ids(group.batches) == [1, 2, 7, 8])
        #expect(group.repeats.map(\.publishing.id) == [7, 3])
        #expect(group.batches[0].marks.map(\.lastID) == [8])
        #expect(group.batches[0].marks.map(\.index) == [3])
    }

    @Test func `asks the log where nothing is under way`() throws {
        var queue = Queue(batchBytesMax: 4096)
        #expect(try self.add(&queue, 5, last: 5) == nil)
        #expect(try self.add(&queue, 6, last: 5) != nil)
        // The log does not have it yet, and it is taken all the same.
        #expect(try self.add(&queue, 6, last: 5) == nil)
        let isLed = queue.isLed
        #expect(isLed)
    }

    @Test func `lets repeats alone have a leader too`() throws {
        var queue = Queue(batchBytesMax: 4096)
        #expect(try self.add(&queue, 5, last: 5) == nil)
        let isEmpty = queue.isEmpty
        #expect(!isEmpty)
        let group = try take(&queue)
        #expect(group.batches.isEmpty)
        #expect(group.repeats.count == 1)
        let end = queue.take()
        #expect(end == nil)
    }

    @Test func `gives an id back when its append fails`() throws {
        var queue = Queue(batchBytesMax: 4096)
        _ = try add(&queue, 5)
        let group = try take(&queue)
        let left = queue.settle(GroupOutcome(failed: group.batches.map { ($0, full) }))
        #expect(left.isEmpty)
        #expect(try self.add(&queue, 5) != nil)
    }

    @Test func `fails what waits behind a failed append, and those in the same batch`() throws {
        var queue = Queue(batchBytesMax: 4096)
        _ = try add(&queue, 5)
        let group = try take(&queue)
        _ = try add(&queue, 9, of: other, bytes: 3000)
        _ = try add(&queue, 10, of: other, bytes: 3000)
        _ = try add(&queue, 6)
        _ = try add(&queue, 11, of: other, bytes: 3000)
        let left = queue.settle(GroupOutcome(failed: group.batches.map { ($0, full) }))
        // 9 stands in a batch before; 10 with 6 in one, and 11 is behind 10.
        #expect(ids(left.map(\.batch)) == [10, 6, 11])
        #expect(ids(queue.takeGroup()?.batches ?? []) == [9])
    }

    @Test func `knows what waits before the place where others broke a producer off`() throws {
        var queue = Queue(batchBytesMax: 256)
        _ = try add(&queue, 1)
        let group = try take(&queue)
        // The first waits in a batch of its own, the second in one with the producer that fails.
        _ = try add(&queue, 5, of: other, bytes: 200)
        _ = try add(&queue, 2, bytes: 100)
        _ = try add(&queue, 6, of: other)
        let left = queue.settle(GroupOutcome(failed: group.batches.map { ($0, full) }))
        #expect(ids(left.map(\.batch)) == [2, 6])
        #expect(try self.add(&queue, 5, of: other, last: 4) == nil)
        #expect(try self.add(&queue, 6, of: other, last: 4) != nil)
        let next = try take(&queue)
        #expect(ids(next.batches) == [5, 6])
        let first = try #require(next.batches.first)
        _ = queue.settle(GroupOutcome(written: [(first, .zero)]))
        #expect(try self.add(&queue, 6, of: other, last: 5) == nil)
    }

    @Test func `takes nothing behind a failed append until that is sent again`() throws {
        var queue = Queue(batchBytesMax: 4096)
        _ = try add(&queue, 5)
        let group = try take(&queue)
        _ = queue.settle(GroupOutcome(failed: group.batches.map { ($0, full) }))
        let error = #expect(throws: WeirError.self) { try add(&queue, 6, last: 4) }
        #expect(error?.code == .noSpace)
        #expect(try self.add(&queue, 5, last: 4) != nil)
        #expect(try self.add(&queue, 6, last: 4) != nil)
    }

    @Test func `goes on behind a failed append for whoever asks for the producer anew`() throws {
        var queue = Queue(batchBytesMax: 4096)
        _ = try add(&queue, 5)
        let group = try take(&queue)
        _ = queue.settle(GroupOutcome(failed: group.batches.map { ($0, full) }))
        queue.forgive(name)
        #expect(try self.add(&queue, 6, last: 4) != nil)
    }

    @Test func `has a producer's appends in several batches under way at once`() throws {
        var queue = Queue(batchBytesMax: 4096)
        for id: UInt64 in 1...3 { _ = try add(&queue, id, bytes: 3000) }
        let group = try take(&queue)
        #expect(group.batches.count == 3)
        _ = queue.settle(GroupOutcome(written: group.batches.prefix(2).map { ($0, .zero) }))
        #expect(try self.add(&queue, 3, last: 2) == nil)
        _ = queue.settle(GroupOutcome(written: group.batches.suffix(1).map { ($0, .zero) }))
        #expect(try self.add(&queue, 4, last: 3) != nil)
    }

    @Test func `puts no more producers into a batch than fit its extension`() throws {
        var queue = Queue(batchBytesMax: 1 << 20)
        for number in 0..<Limits.batchProducersMax + 1 {
            _ = try add(&queue, 1, of: ProducerName(stored: Array("p\(number)".utf8)))
        }
        _ = try add(&queue, 2, of: ProducerName(stored: Array("p256".utf8)))
        let group = try take(&queue)
        #expect(group.batches.map(\.marks.count) == [Limits.batchProducersMax, 1])
        #expect(group.batches.map { $0.builder.recordCount } == [Limits.batchProducersMax, 2])
    }

    @Test func `remembers nothing of producers once their appends are settled`() throws {
        var queue = Queue(batchBytesMax: 4096)
        for id: UInt64 in 1...3 { _ = try add(&queue, id) }
        let group = try take(&queue)
        _ = queue.settle(GroupOutcome(written: group.batches.map { ($0, .zero) }))
        for batch in group.batches { queue.recycle(batch) }
        // As if another log had been put behind it.
        #expect(try self.add(&queue, 1) != nil)
        let next = try take(&queue)
        #expect(next.batches.map(\.marks.count) == [1])
    }
}
