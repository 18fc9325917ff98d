import Testing
import WeirBase
import WeirFormat
import WeirLog
import WeirTesting

@testable import Weir

@Suite("A subscription that searches behind damage")
struct SearchTests {
    /// A batch, one and a half megabytes of garbage that were one, and another batch.
    private let stream: StreamByHand
    private let garbage: Range<Int>

    init() throws {
        stream = try StreamByHand(segmentBytes: 4 << 20, batchBytesMax: 2 << 20)
        try stream.append(bytes: 1500)
        garbage = try stream.appendGarbage(bytes: 1_500_000)
        try stream.append(bytes: 1500)
        _ = stream.simulated.takeTouched()
    }

    /// Its reader is about to search, and it waits.
    private func searching(_ reading: ReadingMode = .copied) throws -> FeedByHand {
        var options = SubscriptionOptions(mode: .fixed(Credit(bytes: 4000, records: 100)))
        options.stallTimeout = .seconds(2)
        let hand = try FeedByHand(options, on: stream, start: 1, reading: reading)
        hand.ask()
        return hand
    }

    /// Since it was last asked for.
    private var touchedBytes: Int {
        stream.simulated.takeTouched().reduce(0) { $0 + $1.bytes.count }
    }

    @Test(arguments: [ReadingMode.mapped, .copied])
    func `searches a piece, and comes again`(reading: ReadingMode) throws {
        let hand = try searching(reading)
        var pieces = 0
        while hand.gaps.isEmpty, let job = stream.takeJob() {
            job()
            pieces += 1
            #expect(touchedBytes < Limits.headerSearchBytesMax + 3 * Limits.headerSearchBytes)
        }
        #expect(pieces > garbage.count / Limits.headerSearchBytesMax)
        hand.ask()
        hand.work()
        #expect(hand.offsets == [2])
    }

    @Test(arguments: [ReadingMode.mapped, .copied])
    func `tells what was in between as one gap, with its bytes`(reading: ReadingMode) throws {
        let hand = try searching(reading)
        hand.work()
        hand.ask()
        hand.work()
        let gap = try #require(hand.gaps.first)
        #expect(hand.gaps.count == 1)
        #expect(gap.expected == Offset(1))
        #expect(gap.next == Offset(2))
        #expect(gap.reason == .damage)
        let range = "bytes \(garbage.lowerBound) to \(garbage.upperBound) are damaged"
        #expect(gap.detail.hasSuffix(range), "\(gap.detail)")
        #expect(hand.offsets == [2])
    }

    @Test func `reads no more than a piece once it has ended`() throws {
        let hand = try searching()
        let reads = Lock(0)
        let feed = hand.feed
        stream.disk.follow { operation, path in
            guard operation == .read, path.hasSuffix(".segment") else { return nil }
            let count = reads.withLock { count in
                count += 1
                return count
            }
            if count == 50 { feed.finish(nil) }
            return nil
        }
        hand.work()
        let count = reads.withLock { $0 }
        #expect(count >= 50)
        #expect(count < 52 + Limits.headerSearchBytesMax / Limits.headerSearchBytes)
        #expect(hand.gaps.isEmpty)
    }

    @Test func `is not reopened by the watchdog while it comes on`() throws {
        let hand = try searching()
        for _ in 0..<30 where hand.gaps.isEmpty {
            stream.pass(.seconds(1))
            stream.takeJob()?()
            hand.fire()
        }
        #expect(stream.clockSeconds > 10)
        #expect(hand.gaps.count == 1)
        #expect(!hand.signals.contains(.stalled))
    }

    @Test func `is reopened by the watchdog when its search hangs`() throws {
        let hand = try searching()
        stream.takeJob()?()
        let hanging = try #require(stream.takeJob())
        stream.pass(.seconds(1))
        hand.fire()
        #expect(hand.signals == [.stalled, .reopened])
        hand.work()
        hanging()
        #expect(hand.gaps.count == 1)
    }

    @Test func `leaves its thread to another one in between`() throws {
        let hand = try searching()
        let other = try FeedByHand(
            SubscriptionOptions(mode: .fixed(Credit(bytes: 4000, records: 100))), on: stream,
            start: 2)
        other.ask()
        for _ in 0..<2 { stream.takeJob()?() }
        #expect(other.offsets == [2])
        #expect(touchedBytes < 2 * Limits.headerSearchBytesMax)
        hand.work()
        #expect(hand.gaps.count == 1)
    }

    @Test(arguments: [true, false])
    func `has no pieces where a cursor walks by itself`(isExact: Bool) throws {
        var cursor = LogCursor(view: stream.writer.view, at: Offset(1), isExact: isExact)
        let step = try cursor.next()
        guard case .gap(let gap) = step else {
            Issue.record("\(step) where a gap is expected")
            return
        }
        #expect(gap.next == Offset(2))
    }
}
