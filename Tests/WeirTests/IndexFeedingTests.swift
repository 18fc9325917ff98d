import Testing
import WeirBase
import WeirFormat
import WeirIndex
import WeirLog

@testable import Weir

@Suite("What feeds the index")
struct IndexFeedingTests {
    private let stream = StreamID(7)

    private func run(_ first: Offset, _ end: Offset) -> KeyRun {
        KeyRun(stream: stream, first: first, end: end, entries: [])
    }

    @Test func `takes what was read ahead where the index ends, and once`() throws {
        var feeding = IndexFeeder.Feeding()
        let ahead = run(5, 9)
        feeding.readAhead(of: stream, from: 5) { .success([ahead]) }
        #expect(try feeding.takeAhead(of: stream, from: 5)?.get() == [ahead])
        #expect(try feeding.takeAhead(of: stream, from: 5)?.get() == nil)
    }

    @Test func `takes nothing that was read of another stream or place`() throws {
        var feeding = IndexFeeder.Feeding()
        let ahead = run(5, 9)
        feeding.readAhead(of: stream, from: 5) { .success([ahead]) }
        // The index was thrown away, or its last transaction failed.
        #expect(try feeding.takeAhead(of: stream, from: 0)?.get() == nil)
        #expect(try feeding.takeAhead(of: StreamID(8), from: 5)?.get() == nil)
        let later = run(9, 11)
        feeding.readAhead(of: stream, from: 9) { .success([later]) }
        #expect(try feeding.takeAhead(of: stream, from: 5)?.get() == nil)
        #expect(try feeding.takeAhead(of: stream, from: 9)?.get() == [later])
    }

    @Test func `is told why nothing could be read ahead`() {
        var feeding = IndexFeeder.Feeding()
        feeding.readAhead(of: stream, from: 5) { .failure(WeirError(.noSpace, "it fails")) }
        let error = #expect(throws: WeirError.self) {
            try feeding.takeAhead(of: stream, from: 5)?.get()
        }
        #expect(error?.code == .noSpace)
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
