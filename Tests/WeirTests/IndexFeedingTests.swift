import Testing
import WeirBase
import WeirIndex

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
}
