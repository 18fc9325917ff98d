import Testing
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog

@testable import Weir
@testable import WeirIndex

@Suite("What feeds the index")
struct IndexFeedingTests {
    private let stream = StreamID(7)

    private func run(_ first: Offset, _ end: Offset) -> KeyRun {
        KeyRun(stream: stream, first: first, end: end, entries: [])
    }

    /// Parts of four records each, up to `end`.
    private func parts(to end: Offset) -> @Sendable (Offset) -> KeyReadAhead.Part {
        { .success($0 < end ? [run($0, min($0 + 4, end))] : []) }
    }

    @Test func `takes what was read ahead where the index ends, part by part`() throws {
        var feeding = IndexFeeder.Feeding()
        for start: Offset in [5, 9] {
            feeding.readAhead(of: stream, from: start, parts(to: 11))
            let part = [run(start, min(start + 4, 11))]
            #expect(try feeding.takeAhead(of: stream, from: start)?.get() == part)
            #expect(try feeding.takeAhead(of: stream, from: start)?.get() == nil)
        }
        // What was the end then may not be it any more.
        #expect(try feeding.takeAhead(of: stream, from: 11)?.get() == nil)
        feeding.close()
    }

    @Test func `takes nothing that was read of another stream or place`() throws {
        var feeding = IndexFeeder.Feeding()
        feeding.readAhead(of: stream, from: 5, parts(to: 11))
        // The index was thrown away, or its last transaction failed.
        #expect(try feeding.takeAhead(of: stream, from: 0)?.get() == nil)
        #expect(try feeding.takeAhead(of: StreamID(8), from: 5)?.get() == nil)
        feeding.readAhead(of: stream, from: 9, parts(to: 11))
        #expect(try feeding.takeAhead(of: stream, from: 5)?.get() == nil)
        #expect(try feeding.takeAhead(of: stream, from: 9)?.get() == [run(9, 11)])
        feeding.close()
    }

    @Test func `does not read further ahead than a few parts, and ends before it is done`() {
        let read = Monitor(0)
        var feeding = IndexFeeder.Feeding()
        feeding.readAhead(of: stream, from: 0) { [self] start in
            read.signal { $0 += 1 }
            return .success([run(start, start + 4)])
        }
        for taken in 0..<3 {
            let expected = taken + KeyReadAhead.partsMax
            _ = read.wait { $0 >= expected ? true : nil }
            #expect(feeding.takeAhead(of: stream, from: Offset(UInt64(4 * taken))) != nil)
        }
        feeding.close()
        #expect(read.read { $0 } <= 3 + KeyReadAhead.partsMax)
    }

    @Test func `takes what was read ahead before that was paused, and then has it go on`() throws {
        let read = Monitor(0)
        var feeding = IndexFeeder.Feeding()
        let part: @Sendable (Offset) -> KeyReadAhead.Part = { [self] start in
            read.signal { $0 += 1 }
            return .success([run(start, start + 4)])
        }
        feeding.readAhead(of: stream, from: 0, part)
        _ = read.wait { $0 == KeyReadAhead.partsMax ? true : nil }
        feeding.pauseAhead()
        for start: Offset in [0, 4, 8] {
            #expect(
                try feeding.takeAhead(of: stream, from: start)?.get() == [run(start, start + 4)])
        }
        #expect(try feeding.takeAhead(of: stream, from: 12)?.get() == nil)
        feeding.readAhead(of: stream, from: 12, part)
        #expect(try feeding.takeAhead(of: stream, from: 12)?.get() == [run(12, 16)])
        feeding.close()
    }

    @Test func `is told why nothing could be read ahead`() {
        var feeding = IndexFeeder.Feeding()
        feeding.readAhead(of: stream, from: 5) { _ in .failure(WeirError(.noSpace, "it fails")) }
        let error = #expect(throws: WeirError.self) {
            try feeding.takeAhead(of: stream, from: 5)?.get()
        }
        #expect(error?.code == .noSpace)
        feeding.close()
    }

    /// Half of it is made, and somebody else has a transaction in it: nobody can write to it.
    @Test func `lets appends be acknowledged while the index stands still, half made`() async throws
    {
        let folder = TemporaryFolder()
        var store = try await Store.open(at: folder.path, index: .off)
        var stream = try await store.stream("s", creating: .init(durability: .flushed))
        for _ in 0..<20 { try await stream.append(key: "k", value: []) }
        try await store.close()
        store = try await Store.open(at: folder.path, index: .off)
        stream = try await store.stream("s")
        let (id, half, end) = (stream.open.id, Offset(10), stream.endOffset)
        let path = folder.path + "/index-1.sqlite"
        let identity = IndexIdentity(
            store: store.engine.header.storeID, try #require(store.engine.opening))
        let index = try IndexWriter.create(path: path, identity)
        try index.append([KeyRun(stream: id, first: .zero, end: half, entries: [])])
        try index.close()
        let feeder = IndexFeeder(engine: store.engine, entriesMax: 1)
        func covered() -> Offset { feeder.figures.coverage[id]?.upperBound ?? half }
        let writer = try stream.syncWriter()
        let connection = try IndexConnection(path: path, isReadOnly: false)
        try connection.write { _ in
            try feeder.start()
            try writer.append(key: bytes("k"), value: [], level: .durable)
            for _ in 0..<50 { try writer.append(key: bytes("k"), value: []) }
            #expect(covered() == half)
        }
        #expect(stream.view.durableEnd > end && stream.endOffset == end + 51)
        while covered() < end { await Task.yield() }
        feeder.end(finishing: false)
        try connection.close()
        try await store.close()
    }

    @Test func `indexes what is read in many parts, whole`() async throws {
        let folder = TemporaryFolder()
        let store = try await Store.open(at: folder.path, index: .off)
        let stream = try await store.stream("s", creating: .init(durability: .flushed))
        for number in 0..<40 {
            var batch = Batch()
            for key in 1...10 { _ = try batch.append(key: bytes("\(number % key)"), value: []) }
            try await stream.append(&batch)
        }
        let feeder = IndexFeeder(engine: store.engine, entriesMax: 25)
        try feeder.start()
        let id = stream.open.id
        while feeder.figures.coverage[id]?.upperBound != stream.endOffset { await Task.yield() }
        feeder.end(finishing: false)
        var expected = PartDigests(bounds: [.zero])
        let fields = IndexedFields(stream.open)
        let runs = try KeyFeed.read(fields, of: id, stream.view, from: .zero) { _ in false }
        for entry in runs.flatMap(\.entries) { expected.add(entry) }
        let reader = try IndexReader(
            path: folder.path + "/index-1.sqlite", store: store.engine.header.storeID,
            isFrozen: true)
        let content = try #require(try reader.content(of: id, in: [.zero]))
        #expect(content.parts.digests == expected.digests)
        #expect(expected.count == 400)
        try reader.close()
        try await store.close()
    }
}
