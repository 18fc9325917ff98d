import Testing
import WeirBase

@testable import Weir

@Suite("What counts signals")
struct SignalBookTests {
    private let book = SignalBook()

    private func sum(_ counts: [SignalSource: SignalCounts]) -> Int {
        counts.values.reduce(0) { $0 + $1[.exhausted].count }
    }

    @Test func `counts consumers together as others beyond its bound, and loses none`() {
        let count = Limits.signalSourcesMax + 100
        for number in 0..<count {
            book.note(.exhausted, SignalSource(stream: "s", consumer: "c\(number)"))
        }
        // One that was there before keeps its own.
        book.note(.exhausted, SignalSource(stream: "s", consumer: "c7"))
        let counts = book.counts
        #expect(counts.count == Limits.signalSourcesMax + 1)
        let others = SignalSource(stream: "s", consumer: "(others)")
        #expect(counts[others]?[.exhausted].count == 100)
        #expect(counts[SignalSource(stream: "s", consumer: "c7")]?[.exhausted].count == 2)
        #expect(sum(counts) == count + 1)
    }

    @Test func `stays within twice its bound, however many streams there are`() {
        let count = 2 * Limits.signalSourcesMax + 100
        for number in 0..<count {
            book.note(.exhausted, SignalSource(stream: "s\(number)", consumer: "c"))
        }
        let counts = book.counts
        #expect(counts.count == 2 * Limits.signalSourcesMax + 1)
        let rest = SignalSource(stream: "(others)", consumer: "(others)")
        #expect(counts[rest]?[.exhausted].count == 100)
        #expect(sum(counts) == count)
    }

    @Test func `tells a listener that never reads how many it missed, and keeps the newest`()
        async
    {
        let source = SignalSource(stream: "s")
        let feed = book.events()
        for number in 0..<Limits.signalFeedMax + 76 {
            book.note(.exhausted, source, detail: "\(number)")
        }
        #expect(feed.missedCount == 76)
        book.end()
        var details: [String] = []
        for await signal in feed { details.append(signal.detail) }
        #expect(details.count == Limits.signalFeedMax)
        #expect(details.first == "76")
        #expect(feed.missedCount == 76)
    }

    @Test func `has nothing to tell once it has ended`() async {
        book.end()
        var iterator = book.events().makeAsyncIterator()
        #expect(await iterator.next() == nil)
    }
}
