import Foundation
import Testing
import Weir
import WeirFiles
import WeirLog
import WeirTesting

@Suite("A compacted stream")
struct CompactionTests {
    private let folder = TemporaryFolder()
    private static let policy = CompactionPolicy(tombstoneSecondsMin: 0)

    /// What was appended, and what a dictionary would keep of it.
    private struct Model {
        var records: [Record] = []

        func kept(tombstones: Bool) -> [Record] {
            var last: [[UInt8]: Offset] = [:]
            for record in records { if let key = record.key { last[key] = record.offset } }
            return records.filter { record in
                guard let key = record.key else { return true }
                return last[key] == record.offset && (tombstones || record.value != nil)
            }
        }
    }

    private func open(
        _ compression: Compression = .off, policy: CompactionPolicy? = policy
    ) throws -> (Store, LogStream) {
        let store = try Store.openBlocking(at: folder.path)
        store.pauseUpkeep()
        let stream = try store.streamBlocking(
            "s",
            creating: .init(durability: .flushed, compression: compression, compaction: policy))
        return (store, stream)
    }

    private func append(
        _ random: inout SeededRandom, to stream: LogStream, keys: Int = 40, _ model: inout Model
    ) async throws {
        var batch = Batch()
        var added: [(key: [UInt8]?, value: [UInt8]?)] = []
        for _ in 0...random.below(200) {
            let key =
                random.oneIn(5) ? nil : bytes(String(repeating: "k", count: random.below(keys)))
            let value =
                key != nil && random.oneIn(6)
                ? nil
                : bytes("\(model.records.count)") + [UInt8](repeating: 7, count: random.below(90))
            let headers: Headers = random.oneIn(3) ? ["n": .int(Int64(random.below(9)))] : [:]
            let time = random.oneIn(4) ? Timestamp(milliseconds: Int64(random.below(9_000))) : nil
            _ = try batch.append(key: key, headers: headers, time: time, value: value)
            added.append((key, value))
        }
        let receipt = try await stream.append(&batch)
        var cursor = try stream.cursor(from: .offset(receipt.offset))
        while case .batch = try cursor.next() {
            var records = cursor.records
            while let record = records.next() { model.records.append(record.copy()) }
        }
        #expect(model.records.suffix(added.count).map(\.value) == added.map(\.value))
    }

    @Test(arguments: [UInt64(1), 2, 3, 4], [Compression.off, .lz4])
    func `keeps what a dictionary keeps, at the same offsets`(
        seed: UInt64, compression: Compression
    ) async throws {
        var random = SeededRandom(seed: seed)
        var model = Model()
        var (store, stream) = try open(compression)
        for round in 0..<8 {
            try await append(&random, to: stream, &model)
            if random.oneIn(3) {
                try store.closeBlocking()
                (store, stream) = try open()
            }
            guard random.oneIn(2) || round == 7 else { continue }
            let report = try stream.compactBlocking(.init(isNow: true))
            #expect(report.setAside == [])
            let kept = model.kept(tombstones: false)
            #expect(try stream.all() == kept)
            #expect(report.recordsBefore - report.recordsRemoved == UInt64(kept.count))
            model.records = kept
        }
        try store.closeBlocking()
        (store, stream) = try open()
        #expect(store.reports == [])
        #expect(try stream.all() == model.records)
        try store.closeBlocking()
    }

    @Test func `says what it would do, and does nothing, if asked to`() async throws {
        var random = SeededRandom(seed: 7)
        var model = Model()
        let (store, stream) = try open()
        try await append(&random, to: stream, keys: 3, &model)
        // Seals what was appended.
        _ = try stream.compactBlocking(.init(isNow: true))
        try await append(&random, to: stream, keys: 3, &model)
        let before = try stream.all()
        let report = try stream.compactBlocking(.init(isDryRun: true))
        #expect(report.isDryRun)
        #expect(try stream.all() == before)
        try store.closeBlocking()
    }

    @Test func `keeps a tombstone until its delay is over`() async throws {
        let (store, stream) = try open(policy: CompactionPolicy(tombstoneSecondsMin: 3600))
        try await stream.append(key: "a", value: bytes("1"))
        try await stream.append(key: "a", value: nil)
        let report = try stream.compactBlocking(.init(isNow: true))
        #expect(try stream.all().map(\.offset) == [Offset(1)])
        #expect(report.tombstonesRemoved == 0)
        try store.closeBlocking()
    }

    /// The store was written in 2023, by the simulated clock; what this machine's clock says is
    /// years ahead, and believed to be a week ahead.
    @Test func `keeps a tombstone where the clock jumps past its delay`() throws {
        let engine = try StoreEngine.open(
            files: try RealFileSystem.openRoot(folder.path, creating: true),
            host: SimulatedMachine(seed: 1).host, creating: true)
        let name = try StreamName("s")
        let policy = CompactionPolicy(tombstoneSecondsMin: 30 * 86_400)
        try engine.create(name, StreamConfiguration(compaction: policy))
        let writer = try #require(engine.stream(name)?.writer)
        for value in [bytes("1"), nil] {
            var batch = Batch()
            _ = try batch.append(key: bytes("a"), value: value)
            _ = try writer.append(&batch.builder, needsSync: true)
        }
        try engine.close()
        let (store, stream) = try open()
        let report = try stream.compactBlocking(.init(isNow: true))
        #expect(report.recordsRemoved == 1 && report.tombstonesRemoved == 0)
        #expect(try stream.all().map(\.offset) == [Offset(1)])
        try store.closeBlocking()
    }

    @Test func `is read by cursors that stood in the old segments`() async throws {
        var random = SeededRandom(seed: 9)
        var model = Model()
        let (store, stream) = try open()
        for _ in 0..<4 {
            try await append(&random, to: stream, &model)
            _ = try stream.compactBlocking(.init(isNow: true, isDryRun: true))
        }
        var cursor = try stream.cursor(from: .first)
        guard case .batch = try cursor.next() else { throw WeirError(.gap, "no batch") }
        let start = cursor.nextOffset
        _ = try stream.compactBlocking(.init(isNow: true))
        #expect(store.pendingRemovalBytes > 0)
        var offsets: [Offset] = []
        while case .batch = try cursor.next() {
            var records = cursor.records
            while let record = records.next() { offsets.append(record.offset) }
        }
        #expect(offsets == offsets.sorted())
        let kept = model.kept(tombstones: false).map(\.offset).filter { $0 >= start }
        #expect(Set(kept).isSubset(of: offsets))
        try store.closeBlocking()
    }

    @Test func `answers by key what it answers by a walk`() async throws {
        var random = SeededRandom(seed: 5)
        var model = Model()
        let (store, stream) = try open()
        for _ in 0..<5 { try await append(&random, to: stream, &model) }
        _ = try stream.compactBlocking(.init(isNow: true))
        for length in 0..<40 {
            let key = bytes(String(repeating: "k", count: length))
            var records = try stream.records(key: key)
            var found: [Record] = []
            while case .record(let record) = try records.next() { found.append(record) }
            #expect(found == model.kept(tombstones: false).filter { $0.key == key })
            #expect(records.scanReason == nil)
        }
        try store.closeBlocking()
    }

    @Test func `is due again when the delay of its tombstones is over`() async throws {
        let (store, stream) = try open(policy: CompactionPolicy(tombstoneSecondsMin: 3600))
        for number in 0..<10 { try await stream.append(key: "\(number)", value: nil) }
        _ = try stream.compactBlocking(.init(isNow: true))
        try await stream.append(key: "the last", value: bytes("1"))
        let now = try #require(try stream.all().last?.time)
        let later = Timestamp(microseconds: now.microseconds + 3_601_000_000)
        #expect(try !stream.isCompactionDue(at: now))
        #expect(try stream.isCompactionDue(at: later))
        try store.closeBlocking()
    }

    @Test func `merges what many openings left`() async throws {
        for number in 0..<6 {
            let (store, stream) = try open()
            try await stream.append(key: "key \(number)", value: bytes("\(number)"))
            let report = try stream.compactBlocking(.init(isNow: true))
            #expect(report.segmentsAfter == 1)
            try store.closeBlocking()
        }
        let (store, stream) = try open()
        #expect(try stream.all().map { text($0.key) } == (0..<6).map { "key \($0)" })
        try store.closeBlocking()
    }

    @Test func `is not compacted with a map that the machine has no memory for`() throws {
        let (store, stream) = try open()
        for byteCount in [-1, 0, 1 << 20, Host.memoryBytes, Int.max] {
            let error = #expect(throws: WeirError.self) {
                try stream.compactBlocking(.init(mapBytes: byteCount))
            }
            #expect(error?.code == .invalidArgument)
        }
        try store.closeBlocking()
    }

    @Test func `is not compacted without a policy`() async throws {
        let (store, stream) = try open(policy: nil)
        try await stream.append(key: "a", value: bytes("1"))
        #expect(throws: WeirError.self) { try stream.compactBlocking(.init(isNow: true)) }
        try store.closeBlocking()
    }

    @Test func `is seen whole by a reading process that had opened nothing of it`() async throws {
        var random = SeededRandom(seed: 11)
        var model = Model()
        let (store, stream) = try open()
        for _ in 0..<4 {
            try await append(&random, to: stream, &model)
            _ = try stream.compactBlocking(.init(isNow: true))
            model.records = model.kept(tombstones: false)
        }
        try await append(&random, to: stream, &model)
        let reader = try Store.openBlocking(at: folder.path, .read)
        let seen = try reader.streamBlocking("s")
        _ = try stream.compactBlocking(.init(isNow: true))
        #expect(store.pendingRemovalBytes == 0)
        #expect(try seen.all() == model.kept(tombstones: false))
        try reader.closeBlocking()
        try store.closeBlocking()
    }
}
