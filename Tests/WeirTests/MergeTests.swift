import Testing
import Weir
import WeirBase
import WeirFiles
import WeirLog
import WeirTesting

@Suite("Streams that are merged")
struct MergeTests {
    private let folder = TemporaryFolder()

    /// A stream with records of the given times, so many a batch.
    private func stream(
        _ store: Store, _ name: String, _ times: [Int64], batch count: Int = 3
    ) async throws -> LogStream {
        let stream = try await store.stream(name, creating: .init(durability: .flushed))
        var batch = Batch()
        for time in times {
            let isAdded = try batch.append(
                time: Timestamp(microseconds: time), value: bytes("\(time)"))
            #expect(isAdded)
            if batch.recordCount == count { try await stream.append(&batch) }
        }
        if !batch.isEmpty { try await stream.append(&batch) }
        return stream
    }

    private func all(
        _ streams: [LogStream], from start: StartPosition = .first
    ) throws -> [MergedRecord] {
        var cursor = try Store.merged(streams, from: start)
        var found: [MergedRecord] = []
        while case .record(let record) = try cursor.next() { found.append(record) }
        return found
    }

    private func times(_ records: [MergedRecord]) -> [Int64] {
        records.map(\.record.time.microseconds)
    }

    @Test func `come in the order of their times`() async throws {
        let store = try await Store.open(at: folder.path)
        let a = try await stream(store, "a", [1, 4, 7, 10, 13])
        let b = try await stream(store, "b", [2, 5, 8], batch: 1)
        let c = try await stream(store, "c", [])
        let found = try all([a, b, c])
        #expect(times(found) == [1, 2, 4, 5, 7, 8, 10, 13])
        #expect(found.map(\.stream.description).joined() == "abababaa")
        try await store.close()
    }

    @Test func `come in the order of the list where times are equal`() async throws {
        let store = try await Store.open(at: folder.path)
        let a = try await stream(store, "a", [5, 5, 6])
        let b = try await stream(store, "b", [5, 6, 6])
        #expect(try all([b, a]).map(\.stream.description).joined() == "baabba")
        #expect(try all([a, b]).map(\.source) == [0, 0, 1, 0, 1, 1])
        try await store.close()
    }

    @Test func `keep the order of each log, though its times go back`() async throws {
        let store = try await Store.open(at: folder.path)
        let a = try await stream(store, "a", [10, 1, 2, 30])
        let b = try await stream(store, "b", [9, 20])
        #expect(times(try all([a, b])) == [9, 10, 1, 2, 20, 30])
        try await store.close()
    }

    @Test func `can be asked for the records of a key`() async throws {
        let store = try await Store.open(at: folder.path)
        let a = try await stream(store, "a", [1, 9])
        let streams = [a, try await stream(store, "b", [2, 8])]
        for (time, place) in [(3, 0), (4, 1), (5, 0), (6, 1)] as [(Int64, Int)] {
            try await streams[place].append(
                key: time == 5 ? "other" : "k", time: Timestamp(microseconds: time),
                value: bytes("x"))
        }
        var cursor = try Store.merged(streams, key: "k")
        try await streams[0].append(key: "k", value: bytes("late"))
        var found: [MergedRecord] = []
        while case .record(let record) = try cursor.next() { found.append(record) }
        #expect(times(found) == [3, 4, 6])
        #expect(try cursor.next() == .end)
        try await store.close()
    }

    @Test func `begin at a time in each of them`() async throws {
        let store = try await Store.open(at: folder.path)
        let a = try await stream(store, "a", [1, 4, 7, 10])
        let b = try await stream(store, "b", [2, 5, 8])
        #expect(times(try all([a, b], from: .time(Timestamp(microseconds: 5)))) == [5, 7, 8, 10])
        try await store.close()
    }

    @Test func `go on with what is appended when all were at their ends`() async throws {
        let store = try await Store.open(at: folder.path)
        let a = try await stream(store, "a", [1])
        let b = try await stream(store, "b", [2])
        var cursor = try Store.merged([a, b])
        for expected in [1, 2] as [Int64] {
            let step = try cursor.next()
            guard case .record(let found) = step else { throw unexpected("\(step)") }
            #expect(found.record.time.microseconds == expected)
        }
        var step = try cursor.next()
        #expect(step == .end)
        try await b.append(time: Timestamp(microseconds: 0), value: bytes("late"))
        try cursor.wait(milliseconds: 1000)
        step = try cursor.next()
        guard case .record(let found) = step else { throw unexpected("\(step)") }
        #expect(found.source == 1)
        step = try cursor.next()
        #expect(step == .end)
        try await store.close()
    }

    @Test func `are refused twice, and none of them is too few`() async throws {
        let store = try await Store.open(at: folder.path)
        let a = try await stream(store, "a", [1])
        for streams in [[], [a, a]] {
            do throws(WeirError) {
                _ = try Store.merged(streams)
                Issue.record("\(streams.count) streams were merged")
            } catch {
                #expect(error.code == .invalidArgument)
            }
        }
        try await store.close()
    }

    @Test(arguments: 0..<10)
    func `come as sorted as they are, whatever their number and batches`(_ seed: Int) async throws {
        var random = SeededRandom(seed: UInt64(seed))
        let store = try await Store.open(at: folder.path)
        var streams: [LogStream] = []
        var expected: [Int64] = []
        for number in 0..<(1 + random.below(9)) {
            let sorted = (0..<random.below(60)).map { _ in Int64(random.below(50)) }.sorted()
            expected += sorted
            streams.append(
                try await stream(store, "s\(number)", sorted, batch: 1 + random.below(9)))
        }
        let found = try all(streams)
        #expect(times(found) == expected.sorted(), "seed \(seed)")
        for (before, after) in zip(found, found.dropFirst()) {
            let isInOrder =
                before.record.time < after.record.time
                || before.source < after.source
                || before.source == after.source && before.record.offset < after.record.offset
            #expect(isInOrder, "seed \(seed)")
        }
        try await store.close()
    }

    @Test func `can be replayed in a task, as fast as they are read`() async throws {
        let store = try await Store.open(at: folder.path)
        let a = try await stream(store, "a", (0..<3000).map { 2 * $0 }, batch: 100)
        let b = try await stream(store, "b", (0..<3000).map { 2 * $0 + 1 }, batch: 700)
        var next: Int64 = 0
        for try await found in try Store.replay([a, b]) {
            #expect(found.record.time.microseconds == next)
            next += 1
        }
        #expect(next == 6000)
        try await store.close()
    }

    @Test func `can be replayed at a pace`() async throws {
        let store = try await Store.open(at: folder.path)
        let a = try await stream(store, "a", [0, 20_000_000, 60_000_000])
        let start = ContinuousClock.now
        var count = 0
        for try await _ in try Store.replay([a], speed: .times(1000)) { count += 1 }
        #expect(count == 3)
        #expect(ContinuousClock.now - start >= .milliseconds(60))
        try await store.close()
    }

    private func unexpected(_ what: String) -> WeirError {
        WeirError(.damaged, "\(what) where a record is expected")
    }
}

@Suite("The last records of a stream")
struct LastRecordsTests {
    private let folder = TemporaryFolder()

    @Test func `are counted from its end`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init(durability: .flushed))
        #expect(try stream.offset(ofLast: 5) == 0)
        for number in 0..<10 { try await stream.append(value: bytes("\(number)")) }
        #expect(try stream.offset(ofLast: 0) == 10)
        #expect(try stream.offset(ofLast: 1) == 9)
        #expect(try stream.offset(ofLast: 10) == 0)
        #expect(try stream.offset(ofLast: .max) == 0)
        #expect(throws: WeirError.self) { try stream.offset(ofLast: -1) }
        let reading = try await Store.open(at: folder.path, .read)
        #expect(try await reading.stream("s").offset(ofLast: 4) == 6)
        try await reading.close()
        try await store.close()
    }

    @Test func `are found over segments`() throws {
        let disk = SimulatedFileSystem(seed: 2)
        let machine = SimulatedMachine(seed: 2)
        let engine = try StoreEngine.open(files: disk, host: machine.host, creating: true)
        let writer = try SmallStream.create(in: engine)
        try SmallStream.append(11, to: writer)
        for count in 0...11 {
            let found = try LogSearch(writer.view).offset(ofLast: count)
            #expect(found == Offset(UInt64(11 - count)))
        }
    }
}
