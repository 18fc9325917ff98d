import Testing
import WeirBase
import WeirFormat
import WeirLog

@Suite("The queue of a group commit")
struct CommitQueueTests {
    private typealias Queue = CommitQueue<Int>

    private func add(
        _ queue: inout Queue, _ waiter: Int, bytes: Int = 10, level: DurabilityLevel = .durable
    ) throws -> Queue.Action {
        let value = [UInt8](repeating: 1, count: bytes)
        return try queue.append(permits: .zero, level: level, waiter: waiter) {
            builder throws(WeirError) in builder.append(value: value.span.bytes)
        }
    }

    private func waiters(_ group: [Queue.Batch]?) -> [Int] {
        (group ?? []).flatMap { $0.calls.map(\.waiter) }
    }

    @Test func `lets the first lead and the others wait`() throws {
        var queue = Queue(batchBytesMax: 4096)
        #expect(try self.add(&queue, 1) == .lead)
        #expect(try self.add(&queue, 2) == .wait)
        #expect(waiters(queue.take()) == [1, 2])
    }

    @Test func `gathers the next group while one is written`() throws {
        var queue = Queue(batchBytesMax: 4096)
        _ = try add(&queue, 1)
        _ = queue.take()
        #expect(try self.add(&queue, 2) == .wait)
        #expect(waiters(queue.take()) == [2])
        #expect(queue.take() == nil)
        #expect(try self.add(&queue, 3) == .lead)
    }

    @Test func `puts what no longer fits into another batch, in order`() throws {
        var queue = Queue(batchBytesMax: 4096)
        for waiter in 0..<5 { _ = try add(&queue, waiter, bytes: 1500) }
        let group = queue.take() ?? []
        #expect(group.count == 3)
        #expect(waiters(group) == [0, 1, 2, 3, 4])
        #expect(group.flatMap { $0.calls.map(\.firstIndex) } == [0, 1, 0, 1, 0])
    }

    @Test func `writes a whole batch behind the records that came before it`() throws {
        var queue = Queue(batchBytesMax: 4096)
        _ = try add(&queue, 1)
        var builder = BatchBuilder(byteLimit: 4096)
        let value: [UInt8] = [1]
        for _ in 0..<3 { _ = builder.append(value: value.span.bytes) }
        let batch = Queue.Batch(builder: builder, isLent: true)
        #expect(try queue.append(batch, permits: .zero, level: .flushed, waiter: 2) == .wait)
        _ = try add(&queue, 3)
        let group = queue.take() ?? []
        #expect(waiters(group) == [1, 2, 3])
        #expect(group.map { $0.builder.recordCount } == [1, 3, 1])
        #expect(group.map(\.needsSync) == [true, false, true])
    }

    @Test func `refuses a record that fits into no batch, and takes the next`() throws {
        var queue = Queue(batchBytesMax: 4096)
        let error = #expect(throws: WeirError.self) { try add(&queue, 1, bytes: 5000) }
        #expect(error?.code == .tooLarge)
        #expect(try self.add(&queue, 2) == .lead)
        #expect(waiters(queue.take()) == [2])
    }

    @Test func `gives back what waits when it closes, and says why from then on`() throws {
        var queue = Queue(batchBytesMax: 4096)
        _ = try add(&queue, 1)
        let left = queue.refuse(WeirError(.closed, "The stream is closed."))
        #expect(waiters(left) == [1])
        let error = #expect(throws: WeirError.self) { try add(&queue, 2) }
        #expect(error?.code == .closed)
        let isEmpty = queue.isEmpty
        #expect(isEmpty)
    }
}
