import Foundation
import Testing
import Weir
import WeirFiles
import WeirLog

@Suite("A stream with a retention policy")
struct RetentionTests {
    private let folder = TemporaryFolder()

    /// A stream of segments of 8 KiB, of two appended records each.
    private func open(_ retention: RetentionPolicy?) throws -> (Store, LogStream) {
        let engine = try StoreEngine.open(
            files: try RealFileSystem.openRoot(folder.path, creating: true), host: .system(),
            creating: true)
        var configuration = StreamConfiguration(
            durability: .flushed, segmentBytes: 8 << 10, batchBytesMax: 4 << 10)
        configuration.retention = retention
        try engine.create(try StreamName("s"), configuration)
        try engine.close()
        let store = try Store.openBlocking(at: folder.path)
        // Each test asks for what is done.
        store.pauseUpkeep()
        return (store, try store.streamBlocking("s"))
    }

    private func append(_ count: Int, to stream: LogStream, key: String? = nil) async throws {
        for _ in 0..<count {
            try await stream.append(
                key: key.map { bytes($0) }, value: [UInt8](repeating: 1, count: 1500),
                level: .durable)
        }
    }

    @Test func `lets records go by their number, and begins behind them`() async throws {
        let (store, stream) = try open(RetentionPolicy(recordsMax: 4))
        try await append(11, to: stream)
        let before = stream.endOffset
        // The store's own look may come first, at any of these.
        let plan = try stream.retainBlocking(isDryRun: true)
        let report = try stream.retainBlocking()
        #expect(report.firstOffset == plan.firstOffset)
        #expect(stream.firstOffset.value == report.firstOffset)
        #expect(stream.firstOffset > .zero && stream.firstOffset.value <= 7)
        #expect(stream.endOffset == before)
        #expect(try stream.all().map(\.offset).first == stream.firstOffset)
        try store.closeBlocking()
        let again = try Store.openBlocking(at: folder.path)
        #expect(again.reports == [])
        #expect(try again.streamBlocking("s").firstOffset == stream.firstOffset)
        try again.closeBlocking()
    }

    @Test func `lets a quiet stream's last records go by their age`() async throws {
        let (store, stream) = try open(RetentionPolicy(ageSecondsMax: 1))
        try await append(3, to: stream)
        let limit = ContinuousClock.now + .seconds(30)
        while stream.firstOffset < stream.endOffset, ContinuousClock.now < limit {
            try await stream.retain()
        }
        #expect(stream.firstOffset == Offset(3))
        #expect(try stream.all() == [])
        try await append(1, to: stream)
        #expect(try stream.all().map(\.offset) == [Offset(3)])
        try store.closeBlocking()
    }

    @Test func `keeps what a cursor has not committed, and tells so once`() async throws {
        let (store, stream) = try open(RetentionPolicy(recordsMax: 1, heldBy: ["billing"]))
        try await append(9, to: stream)
        for _ in 0..<3 {
            let report = try stream.retainBlocking()
            #expect(report.heldBy == "billing")
            #expect(report.segmentsRemoved == 0)
        }
        #expect(store.signalCount(.retentionHeld) == 1)
        try stream.savedCursor("billing").commitBlocking(upTo: Offset(5))
        try stream.retainBlocking()
        #expect(stream.firstOffset > .zero && stream.firstOffset <= Offset(5))
        try store.closeBlocking()
    }

    @Test func `tells again of a cursor once it holds back twice the bytes`() async throws {
        let (store, stream) = try open(RetentionPolicy(recordsMax: 1, heldBy: ["billing"]))
        var told: [UInt64] = []
        for _ in 0..<12 {
            try await append(2, to: stream)
            let before = store.signalCount(.retentionHeld)
            let held = try stream.retainBlocking().heldBytes ?? 0
            if store.signalCount(.retentionHeld) > before { told.append(held) }
        }
        // How many segments there are depends on the markers that were written.
        #expect((2...5).contains(told.count))
        for (earlier, later) in zip(told, told.dropFirst()) { #expect(later >= 2 * earlier) }
        try store.closeBlocking()
    }

    @Test func `is told of by a writer that knows less`() throws {
        let line = """
            {"stream":"s","isDryRun":true,"firstOffsetBefore":1,"firstOffset":2,\
            "segmentsRemoved":3,"bytesRemoved":4,"heldBy":"billing","isForced":false}
            """
        let report = try JSONDecoder().decode(TrimReport.self, from: Data(line.utf8))
        #expect(report.bytesRemoved == 4 && report.heldBytes == nil)
    }

    @Test func `lets go beyond the bound what a cursor holds back, with an alarm`() async throws {
        let (store, stream) = try open(
            RetentionPolicy(recordsMax: 1, heldBy: ["billing"], heldBytesMax: 10_000))
        try await append(12, to: stream)
        // The store's own look may come first.
        try stream.retainBlocking()
        #expect(store.signalCount(.retentionForced) >= 1)
        #expect(stream.firstOffset > .zero)
        try store.closeBlocking()
    }

    @Test(arguments: [nil, "p"], [true, false])
    func `says before what goes, to the byte`(producer: String?, byAge: Bool) async throws {
        var (store, stream) = try open(byAge ? RetentionPolicy(ageSecondsMax: 1) : nil)
        try await append(3, to: stream)
        if let producer {
            try await stream.producer(producer).append(value: bytes("x"), id: 7)
        }
        // Opened again, so that no marker is written between both.
        try store.closeBlocking()
        store = try Store.openBlocking(at: folder.path)
        store.pauseUpkeep()
        stream = try store.streamBlocking("s")
        func run(isDryRun: Bool) throws -> TrimReport {
            try byAge
                ? stream.retainBlocking(isDryRun: isDryRun)
                : stream.trimBlocking(before: .next, isDryRun: isDryRun)
        }
        let limit = ContinuousClock.now + .seconds(30)
        var plan = try run(isDryRun: true)
        while plan.firstOffset < stream.endOffset.value, ContinuousClock.now < limit {
            plan = try run(isDryRun: true)
        }
        #expect(stream.firstOffset == .zero)
        var report = try run(isDryRun: false)
        #expect(plan.isDryRun && !report.isDryRun)
        report.isDryRun = true
        #expect(report == plan)
        // What tells of producers stays.
        #expect(report.segmentsRemoved == (producer == nil ? 2 : 1))
        try store.closeBlocking()
    }

    @Test func `remembers its producers when all of their records are gone`() async throws {
        let (store, stream) = try open(nil)
        let producer = try await stream.producer("p")
        try await producer.append(value: bytes("x"), id: 7)
        #expect(try stream.trimBlocking(before: .next).firstOffset == 1)
        try store.closeBlocking()
        let again = try Store.openBlocking(at: folder.path)
        let found = try again.streamBlocking("s")
        #expect(try found.all() == [])
        let repeated = try await found.producer("p").append(value: bytes("x"), id: 7)
        #expect(repeated.isDuplicate)
        try again.closeBlocking()
    }

    /// How many of the newest files have a footer that does not hold; the batches of the first one
    /// alone tell of a producer.
    @Test(arguments: [0, 1, 2])
    func `keeps the last files whose footers do not hold, for what they knew`(
        count: Int
    ) async throws {
        var (store, stream) = try open(nil)
        try await stream.producer("p").append(value: bytes("x"), id: 7)
        try await append(9, to: stream)
        try store.closeBlocking()
        let paths = try segments(spoiling: count)
        store = try Store.openBlocking(at: folder.path)
        stream = try store.streamBlocking("s")
        let start = try #require(try stream.info().segments.last).base
        let report = try stream.trimBlocking(before: .offset(start))
        #expect(stream.firstOffset == start)
        // Back to one whose footer holds, which tells of all that came before it.
        #expect(report.segmentsRemoved == paths.count - count - 1)
        try store.closeBlocking()
        let left = paths.map { FileManager.default.fileExists(atPath: $0) }
        #expect(left == paths.indices.map { $0 >= paths.count - count - 1 })
        let again = try Store.openBlocking(at: folder.path)
        let repeated = try await again.streamBlocking("s").producer("p")
            .append(value: bytes("x"), id: 7)
        #expect(repeated.isDuplicate)
        try again.closeBlocking()
    }

    /// The sealed files, of which the newest get a footer that does not hold.
    private func segments(spoiling count: Int) throws -> [String] {
        let store = try Store.openBlocking(at: folder.path, .read)
        let sealed = try store.streamBlocking("s").info().segments.filter(\.isSealed)
        try store.closeBlocking()
        let paths = sealed.map { folder.path + "/" + $0.path }
        for path in paths.suffix(count) {
            let file = try FileHandle(forUpdating: URL(filePath: path))
            try file.seek(toOffset: try file.seekToEnd() - 20)
            try file.write(contentsOf: Data([1, 2, 3]))
            try file.close()
        }
        return paths
    }

    @Test func `cannot be asked to let go by a policy that it has not`() throws {
        let (store, stream) = try open(nil)
        #expect(throws: WeirError.self) { try stream.retainBlocking() }
        try store.closeBlocking()
    }

    // MARK: trims

    @Test func `begins after a trim at exactly that offset, within a batch too`() async throws {
        let (store, stream) = try open(nil)
        var batch = Batch()
        for index in 0..<10 { _ = batch.append(value: bytes("\(index)")) }
        try await stream.append(&batch)
        let report = try await stream.trim(before: .offset(Offset(4)))
        #expect(report.firstOffset == 4 && report.segmentsRemoved == 0)
        #expect(try stream.all().map { text($0.value) } == ["4", "5", "6", "7", "8", "9"])
        // It never goes back.
        #expect(try await stream.trim(before: .offset(Offset(2))).firstOffset == 4)
        try store.closeBlocking()
        let again = try Store.openBlocking(at: folder.path, .read)
        #expect(try again.streamBlocking("s").all().first?.offset == Offset(4))
        try again.closeBlocking()
    }

    @Test func `counts the records that are left, behind a compaction too`() async throws {
        let store = try Store.openBlocking(at: folder.path)
        store.pauseUpkeep()
        let stream = try store.streamBlocking("k", creating: .init(compaction: .init()))
        var batch = Batch()
        for key in ["a", "b", "a", "c", "a", "d", "e"] {
            _ = try batch.append(key: bytes(key), value: bytes("x"))
        }
        try await stream.append(&batch)
        for (start, left) in [(0, 7), (1, 6)] {
            try await stream.trim(before: .offset(Offset(UInt64(start))))
            #expect(try stream.info().recordCount == left)
        }
        try stream.compactBlocking(CompactionOptions(isNow: true))
        // 1, 3, 4, 5 and 6 are left.
        for (start, left) in [(1, 5), (2, 4), (4, 3), (6, 1), (7, 0)] {
            try await stream.trim(before: .offset(Offset(UInt64(start))))
            #expect(try stream.all().count == left)
            #expect(try stream.info().recordCount == left)
        }
        try store.closeBlocking()
    }

    @Test func `is not trimmed behind its end`() async throws {
        let (store, stream) = try open(nil)
        try await append(2, to: stream)
        #expect(throws: WeirError.self) { try stream.trimBlocking(before: .offset(Offset(3))) }
        try store.closeBlocking()
    }

    @Test func `is not trimmed before a time that has not come`() async throws {
        let (store, stream) = try open(nil)
        try await append(2, to: stream)
        let year2999 = Timestamp(milliseconds: 32_472_144_000_000)
        for start in [StartPosition.time(year2999), .appended(year2999)] {
            for isDryRun in [true, false] {
                #expect(throws: WeirError.self) {
                    try stream.trimBlocking(before: start, isDryRun: isDryRun)
                }
            }
        }
        #expect(stream.firstOffset == .zero)
        // A record may say that it is of then: it stays.
        try await stream.append(time: year2999, value: bytes("x"), level: .durable)
        #expect(try stream.trimBlocking(before: .time(year2999)).firstOffset == 2)
        try store.closeBlocking()
    }

    @Test func `finds by time the first record that is left`() async throws {
        let (store, stream) = try open(nil)
        var batch = Batch()
        for time in [50, 10, 20] {
            _ = try batch.append(time: Timestamp(milliseconds: Int64(time)), value: bytes("x"))
        }
        try await stream.append(&batch)
        try await stream.append(time: Timestamp(milliseconds: 40), value: bytes("y"))
        try stream.trimBlocking(before: .offset(Offset(1)))
        #expect(try stream.offset(of: .time(Timestamp(milliseconds: 30))) == Offset(3))
        #expect(try stream.offset(of: .time(Timestamp(milliseconds: 5))) == Offset(1))
        try store.closeBlocking()
    }
}

@Suite("A consumer that retention overtakes")
struct OvertakenTests {
    private let folder = TemporaryFolder()

    private func open() async throws -> (Store, LogStream) {
        let store = try Store.openBlocking(at: folder.path)
        let stream = try store.streamBlocking("s", creating: .init(durability: .flushed))
        for index in 0..<6 {
            let header: Headers = ["n": .int(Int64(index))]
            try await stream.append(
                key: bytes("k"), headers: header, time: Timestamp(milliseconds: Int64(index)),
                value: bytes("\(index)"), level: .durable)
        }
        return (store, stream)
    }

    @Test(arguments: [UInt64(3), 6])
    func `meets a gap in its cursor`(start: UInt64) async throws {
        let (store, stream) = try await open()
        var cursor = try stream.cursor(from: .first)
        _ = try cursor.next()
        try await stream.trim(before: .offset(Offset(start)))
        guard case .gap(let gap) = try cursor.next() else { throw WeirError(.gap, "no gap") }
        #expect(gap.reason == .retention)
        #expect(gap.expected == Offset(1) && gap.next == Offset(start))
        try store.closeBlocking()
    }

    @Test func `meets a gap in a cursor of its own name`() async throws {
        let (store, stream) = try await open()
        try stream.savedCursor("c").commitBlocking(upTo: Offset(2))
        try await stream.trim(before: .offset(Offset(4)))
        var cursor = try stream.cursor(from: .cursor("c"))
        guard case .gap(let gap) = try cursor.next() else { throw WeirError(.gap, "no gap") }
        #expect(gap.expected == Offset(2) && gap.next == Offset(4) && gap.reason == .retention)
        try store.closeBlocking()
    }

    @Test func `is told by its subscription, unless it skips`() async throws {
        let (store, stream) = try await open()
        try await stream.trim(before: .offset(Offset(4)))
        do {
            for try await _ in try stream.subscribe(from: .offset(Offset(1))) {
                throw WeirError(.gap, "a batch instead of a gap")
            }
        } catch let error as WeirError {
            #expect(error.code == .gap)
            #expect(error.message.contains("retention"))
        }
        var options = SubscriptionOptions()
        options.onGap = .skip
        for try await batch in try stream.subscribe(from: .offset(Offset(1)), options) {
            #expect(batch.firstOffset == Offset(4))
            break
        }
        #expect(store.signalCount(.gapSkipped) == 1)
        try store.closeBlocking()
    }

    @Test func `meets a gap in a reading process`() async throws {
        let (store, stream) = try await open()
        let reader = try Store.openBlocking(at: folder.path, .read)
        let seen = try reader.streamBlocking("s")
        #expect(seen.firstOffset == .zero)
        try await stream.trim(before: .next)
        var cursor = try seen.cursor(from: .first)
        guard case .gap(let gap) = try cursor.next() else { throw WeirError(.gap, "no gap") }
        #expect(gap.reason == .retention && gap.next == Offset(6))
        try reader.closeBlocking()
        try store.closeBlocking()
    }

    @Test(arguments: [UInt64(2), 6])
    func `gets by key and header what is left`(start: UInt64) async throws {
        let (store, stream) = try await open()
        try await stream.trim(before: .offset(Offset(start)))
        var records = try stream.records(key: bytes("k"))
        var found: [UInt64] = []
        while case .record(let record) = try records.next() { found.append(record.offset.value) }
        #expect(found == Array(start..<6))
        try store.closeBlocking()
    }

    @Test func `gets merged with others what is left`() async throws {
        let (store, stream) = try await open()
        try await stream.trim(before: .offset(Offset(4)))
        var merged = try Store.merged([stream])
        var found: [UInt64] = []
        while case .record(let record) = try merged.next() {
            found.append(record.record.offset.value)
        }
        #expect(found == [4, 5])
        try store.closeBlocking()
    }
}

extension Store {
    func signalCount(_ kind: SignalKind) -> Int {
        signalCounts.values.reduce(0) { $0 + $1[kind].count }
    }
}
