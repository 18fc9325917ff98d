import Foundation
import Testing
import Weir
import WeirBase

@Suite("A named producer")
struct ProducerTests {
    private let folder = TemporaryFolder()

    private func withStream(
        _ configuration: StreamConfiguration = .init(), _ body: (LogStream) async throws -> Void
    ) async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: configuration)
        try await body(stream)
        try await store.close()
    }

    private func values(_ stream: LogStream) throws -> [String] {
        try stream.all().map { text($0.value) }
    }

    @Test func `appends once what it sends twice, and says so`() async throws {
        try await withStream { stream in
            let producer = try await stream.producer("loader")
            #expect(producer.name == "loader")
            #expect(producer.lastPublishingID == nil)
            let first = try await producer.append(key: "k", value: bytes("one"), id: 1)
            let second = try await producer.append(value: bytes("two"), id: 5)
            let again = try await producer.append(value: bytes("two"), id: 5)
            let older = try await producer.append(value: bytes("one"), id: 1)
            #expect(!first.isDuplicate && !second.isDuplicate)
            #expect(again.isDuplicate && again.offset == second.offset)
            #expect(again.level == .durable)
            // At that offset or before it.
            #expect(older.isDuplicate && older.offset >= first.offset)
            #expect(producer.lastPublishingID == 5)
            #expect(try values(stream) == ["one", "two"])
        }
    }

    @Test func `is known again when the store is opened again`() async throws {
        try await withStream { stream in
            let producer = try await stream.producer("loader")
            for id: UInt64 in 1...3 { try await producer.append(value: bytes("\(id)"), id: id) }
            try await stream.append(value: bytes("of nobody"))
        }
        try await withStream { stream in
            let producer = try await stream.producer("loader")
            #expect(producer.lastPublishingID == 3)
            let receipt = try await producer.append(value: bytes("3"), id: 3)
            #expect(receipt.isDuplicate && receipt.offset == 2)
            #expect(try await !producer.append(value: bytes("4"), id: 4).isDuplicate)
            #expect(try values(stream) == ["1", "2", "3", "of nobody", "4"])
        }
    }

    @Test func `has ids of its own, and those of no other stream`() async throws {
        try await withStream { stream in
            let one = try await stream.producer("one")
            let two = try await stream.producer("two")
            try await one.append(value: bytes("a"), id: 9)
            #expect(try await !two.append(value: bytes("b"), id: 9).isDuplicate)
            #expect(two.lastPublishingID == 9)
            #expect(try values(stream) == ["a", "b"])
        }
    }

    @Test func `sends a batch under one id, and gives it back empty`() async throws {
        try await withStream { stream in
            let producer = try await stream.producer("loader")
            var batch = Batch()
            for round in 0..<2 {
                for number in 0..<3 {
                    let isAdded = batch.append(value: bytes("\(number)"))
                    #expect(isAdded)
                }
                let receipt = try await producer.append(&batch, id: 7)
                #expect(receipt.isDuplicate == (round == 1))
                #expect(receipt.offset == 0 && receipt.last == 2)
                let isEmpty = batch.isEmpty
                #expect(isEmpty)
            }
            #expect(try values(stream) == ["0", "1", "2"])
        }
    }

    @Test func `sends in the order of its calls, many at once`() async throws {
        try await withStream { stream in
            let producer = try await stream.producer("loader")
            var pending: [PendingAppend] = []
            for id: UInt64 in 1...200 {
                pending.append(try producer.enqueue(value: bytes("\(id)"), id: id))
                // At once, while the original is under way.
                pending.append(try producer.enqueue(value: bytes("\(id)"), id: id))
            }
            var duplicates = 0
            for append in pending where try await append.receipt().isDuplicate { duplicates += 1 }
            #expect(duplicates == 200)
            #expect(try values(stream) == (1...200).map { "\($0)" })
        }
    }

    @Test func `is told of a repeat when the original is as durable as it asks`() async throws {
        let configuration = StreamConfiguration(durability: .flushed, visibility: .durable)
        try await withStream(configuration) { stream in
            let producer = try await stream.producer("loader")
            try await producer.append(value: bytes("1"), id: 1)
            let again = try await producer.append(value: bytes("1"), level: .durable, id: 1)
            #expect(again.isDuplicate && again.level == .durable)
            // Which is how far its readers see.
            #expect(stream.endOffset == 1)
        }
    }

    @Test func `appends from a thread of its own as well`() async throws {
        try await withStream { stream in
            try await withCheckedThrowingContinuation {
                (done: CheckedContinuation<Void, any Error>) in
                Thread.detachNewThread {
                    done.resume(
                        with: Result {
                            let producer = try stream.syncWriter().producer("loader")
                            for id: UInt64 in [1, 2, 2, 1, 3] {
                                try producer.append(value: bytes("\(id)"), id: id)
                            }
                            var batch = Batch()
                            _ = batch.append(value: bytes("3"))
                            #expect(try producer.append(&batch, id: 3).isDuplicate)
                            #expect(producer.lastPublishingID == 3)
                        })
                }
            }
            #expect(try values(stream) == ["1", "2", "3"])
        }
    }

    @Test func `appends once, however many send the same`() async throws {
        try await withStream { stream in
            let receipts = try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        let producer = try await stream.producer("loader")
                        var written = 0
                        for id: UInt64 in 1...50 {
                            let receipt = try await producer.append(value: bytes("\(id)"), id: id)
                            if !receipt.isDuplicate { written += 1 }
                        }
                        return written > 0
                    }
                }
                return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(receipts > 0)
            #expect(try values(stream) == (1...50).map { "\($0)" })
        }
    }

    @Test(arguments: ["", String(repeating: "n", count: 256)])
    func `needs a name`(_ name: String) async throws {
        try await withStream { stream in
            let error = await #expect(throws: WeirError.self) { try await stream.producer(name) }
            #expect(error?.code == .invalidArgument)
        }
    }

    @Test func `is refused where the store is open for reading`() async throws {
        try await withStream { _ in }
        let store = try await Store.open(at: folder.path, .read)
        let stream = try await store.stream("s")
        let error = await #expect(throws: WeirError.self) { try await stream.producer("loader") }
        #expect(error?.code == .invalidArgument)
        try await store.close()
    }

    @Test func `holds an id no longer that was refused for its size`() async throws {
        try await withStream { stream in
            let producer = try await stream.producer("loader")
            let large = [UInt8](repeating: 1, count: 2 << 20)
            let error = await #expect(throws: WeirError.self) {
                try await producer.append(value: large, id: 1)
            }
            #expect(error?.code == .tooLarge)
            #expect(try await !producer.append(value: bytes("small"), id: 1).isDuplicate)
        }
    }
}
