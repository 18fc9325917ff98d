import Testing
import Weir

@Suite("A store")
struct StoreTests {
    let folder = TemporaryFolder()

    @Test func `keeps what was appended over a restart`() async throws {
        var store = try await Store.open(at: folder.path)
        var stream = try await store.stream("orders", creating: .init())
        for number in 0..<10 {
            let receipt = try await stream.append(
                key: "k\(number)", headers: ["n": .int(Int64(number))], value: bytes("v\(number)"))
            #expect(receipt.offset == Offset(UInt64(number)))
            #expect(receipt.level == .durable)
        }
        try await store.close()

        store = try await Store.open(at: folder.path)
        stream = try await store.stream("orders")
        let records = try stream.all()
        #expect(records.map { text($0.value) } == (0..<10).map { "v\($0)" })
        #expect(records.map { text($0.key) } == (0..<10).map { "k\($0)" })
        #expect(records[3].headers["n"] == 3)
        #expect(store.reports.isEmpty)
        let receipt = try await stream.append(value: bytes("more"))
        #expect(receipt.offset == Offset(10))
        try await store.close()
    }

    @Test(arguments: Compression.allCases)
    func `takes batches in any compression`(_ compression: Compression) async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init(compression: compression))
        var batch = Batch()
        for round in 0..<5 {
            for number in 0..<1000 {
                let added = batch.append(value: bytes("value \(round) \(number)"))
                #expect(added)
            }
            let receipt = try await stream.append(&batch)
            #expect(receipt.recordCount == 1000)
            #expect(receipt.offset == Offset(UInt64(round * 1000)))
            let isEmpty = batch.isEmpty
            #expect(isEmpty)
        }
        for reading in [Reading.mapped, .copied] {
            let records = try stream.all(from: .offset(Offset(2500)), reading: reading)
            #expect(records.count == 2500)
            #expect(records.first?.offset == Offset(2500))
            #expect(text(records.last?.value) == "value 4 999")
        }
        try await store.close()
    }

    @Test func `delivers to a subscriber what is appended later`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init())
        try await stream.append(value: bytes("first"))
        let reader = Task {
            var seen: [String] = []
            for try await batch in try stream.subscribe(from: .first) {
                for record in batch { seen.append(text(record.value)) }
                if seen.count == 3 { break }
            }
            return seen
        }
        try await stream.append(value: bytes("second"))
        try await stream.append(value: bytes("third"))
        #expect(try await reader.value == ["first", "second", "third"])
        try await store.close()
    }

    @Test func `shares syncs among many tasks`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init())
        let offsets = try await withThrowingTaskGroup(of: [UInt64].self) { group in
            for task in 0..<64 {
                group.addTask {
                    var mine: [UInt64] = []
                    for number in 0..<20 {
                        let receipt = try await stream.append(value: bytes("\(task) \(number)"))
                        mine.append(receipt.offset.value)
                    }
                    return mine
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        #expect(Set(offsets) == Set(0..<1280))
        #expect(try stream.all().count == 1280)
        try await store.close()
    }

    @Test func `is refused to a second writer, who is told by whom`() async throws {
        let store = try await Store.open(at: folder.path)
        do {
            _ = try await Store.open(at: folder.path)
            Issue.record("a second writer got in")
        } catch let error as WeirError {
            #expect(error.code == .locked)
            #expect(error.message.contains("process"))
        }
        try await store.close()
    }

    @Test func `can be read beside its writer, and tailed`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init())
        try await stream.append(value: bytes("one"))
        let reading = try await Store.open(at: folder.path, .read)
        let other = try await reading.stream("s")
        var cursor = try other.cursor(from: .first)
        var step = try cursor.next()
        #expect(step == .batch)
        step = try cursor.next()
        #expect(step == .end)
        try await stream.append(value: bytes("two"))
        step = try cursor.next()
        #expect(step == .batch)
        #expect(other.endOffset == Offset(2))
        try await reading.close()
        try await store.close()
    }

    @Test func `refuses a conditional append at another offset`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init())
        var batch = Batch()
        _ = batch.append(value: bytes("a"))
        try await stream.append(&batch, expecting: Offset(0))
        _ = batch.append(value: bytes("b"))
        do {
            try await stream.append(&batch, expecting: Offset(0))
            Issue.record("appended at an unexpected offset")
        } catch let error as WeirError {
            #expect(error.code == .unexpectedOffset)
        }
        let left = batch.recordCount
        #expect(left == 1)
        try await stream.append(&batch, expecting: Offset(1))
        try await store.close()
    }
}
