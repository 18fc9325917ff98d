import Foundation
import Testing
import WeirBase
import WeirTesting

@testable import Weir

@Suite("A window of record times")
struct TimeWindowTests {
    private let folder = TemporaryFolder()

    private func time(_ number: Int) -> Timestamp { Timestamp(microseconds: Int64(number)) }

    /// A stream of segments of a few batches each.
    private func stream(_ name: String, in store: Store) throws -> LogStream {
        try store.engine.create(
            try StreamName(name),
            StreamConfiguration(
                durability: .flushed, segmentBytes: 8 << 10, batchBytesMax: 4 << 10))
        return try store.streamBlocking(name)
    }

    /// Appends records of these times, ten a batch.
    private func fill(_ stream: LogStream, _ times: [Int]) throws {
        let writer = try stream.syncWriter()
        for first in stride(from: 0, to: times.count, by: 10) {
            var batch = Batch()
            for number in times[first..<min(first + 10, times.count)] {
                _ = try batch.append(
                    key: nil, headers: [:], time: time(number),
                    value: [UInt8](repeating: 1, count: 100))
            }
            try writer.append(&batch)
        }
    }

    private func offsets(
        _ stream: LogStream, _ window: Range<Timestamp>, from start: StartPosition = .first,
        before end: Offset? = nil
    ) throws -> [Int] {
        var records = try stream.records(time: window, from: start, before: end)
        var found: [Int] = []
        while true {
            switch try records.next() {
            case .record(let record): found.append(Int(record.offset.value))
            case .gap(let gap): throw WeirError(.gap, "gap: \(gap)")
            case .end:
                #expect(records.scanReason == nil)
                return found
            }
        }
    }

    private func close(_ store: Store) {
        do {
            try store.closeBlocking()
        } catch {
            Issue.record(error)
        }
    }

    @Test(arguments: 0..<20) func `has what a walk over everything finds`(seed: UInt64) throws {
        let store = try Store.openBlocking(at: folder.path)
        defer { close(store) }
        let stream = try stream("s", in: store)
        var random = SeededRandom(seed: seed)
        // Mostly on, sometimes equal, now and then far back or ahead.
        var now = 1000
        let times = (0..<300).map { _ -> Int in
            now += random.below(3)
            return random.oneIn(20) ? random.below(2000) : now
        }
        try fill(stream, times)
        for _ in 0..<20 {
            let lower = random.below(2200)
            let upper = lower + random.below(300)
            let start = random.below(300)
            let end = random.below(320)
            let expected = times.indices.filter {
                (lower..<upper).contains(times[$0]) && $0 >= start && $0 < end
            }
            let found = try offsets(
                stream, time(lower)..<time(upper), from: .offset(Offset(UInt64(start))),
                before: Offset(UInt64(end)))
            #expect(found == expected, "seed \(seed), times \(lower)..<\(upper)")
        }
    }

    @Test func `has its lower end, and not its upper one`() throws {
        let store = try Store.openBlocking(at: folder.path)
        defer { close(store) }
        let stream = try stream("s", in: store)
        try fill(stream, [1, 2, 2, 3, 3, 2, 4])
        #expect(try offsets(stream, time(2)..<time(3)) == [1, 2, 5])
        #expect(try offsets(stream, time(2)..<time(2)).isEmpty)
        #expect(try offsets(stream, .distantPast..<time(1)).isEmpty)
        #expect(try offsets(stream, time(5)..<(.distantFuture)).isEmpty)
        #expect(try offsets(stream, .distantPast..<(.distantFuture)).count == 7)
    }

    @Test func `counts a record without a time by its append`() throws {
        let store = try Store.openBlocking(at: folder.path)
        defer { close(store) }
        let stream = try stream("s", in: store)
        try stream.syncWriter().append(value: bytes("v"))
        let appended = try #require(try stream.all().first).time
        #expect(try offsets(stream, .distantPast..<appended).isEmpty)
        let after = Timestamp(microseconds: appended.microseconds + 1)
        #expect(try offsets(stream, appended..<after) == [0])
    }

    /// A reader of so many records, in whose first segment a byte is another one.
    private func storeWithDamage(of count: Int, at place: Int) throws -> Store {
        let store = try Store.openBlocking(at: folder.path)
        let stream = try stream("s", in: store)
        try fill(stream, Array(0..<count))
        let first = try #require(try stream.info().segments.first).path
        try store.closeBlocking()
        let path = URL(filePath: folder.path + "/" + first)
        var bytes = try Data(contentsOf: path)
        bytes[place] ^= 0xFF
        try bytes.write(to: path)
        return try Store.openBlocking(at: folder.path, .read)
    }

    @Test func `does not look into batches of other times`() throws {
        // A byte of the last record of the first batch.
        let store = try storeWithDamage(of: 300, at: 4096 + 1000)
        defer { close(store) }
        let damaged = try store.streamBlocking("s")
        #expect(try offsets(damaged, time(10)..<time(20)) == Array(10..<20))
        #expect(throws: WeirError.self) { try offsets(damaged, time(9)..<time(20)) }
    }

    @Test func `tells of damage before its first record`() throws {
        // A byte of the first batch's header: which times it had, nobody knows.
        let store = try storeWithDamage(of: 30, at: 4096 + 60)
        defer { close(store) }
        let damaged = try store.streamBlocking("s")
        #expect(throws: WeirError.self) { try offsets(damaged, time(10)..<time(20)) }
        var merged = try Store.merged([damaged], time: time(10)..<time(20))
        guard case .gap = try merged.next() else {
            Issue.record("the streams that are merged tell of no gap")
            return
        }
    }

    @Test func `is merged over streams in the order of time`() throws {
        let store = try Store.openBlocking(at: folder.path)
        defer { close(store) }
        let a = try stream("a", in: store)
        let b = try stream("b", in: store)
        try fill(a, [1, 3, 5, 7])
        try fill(b, [2, 4, 6, 8])
        var merged = try Store.merged([a, b], time: time(3)..<time(7))
        var found: [Int64] = []
        while case .record(let next) = try merged.next() {
            found.append(next.record.time.microseconds)
        }
        #expect(found == [3, 4, 5, 6])
    }
}
