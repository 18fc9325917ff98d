import Testing
import WeirBase
import WeirFlow
import WeirLog
import WeirTesting

@testable import Weir

@Suite("A subscription in trouble")
struct FeedFailureTests {
    private func options(attempts: Int = 3) -> SubscriptionOptions {
        var options = SubscriptionOptions(
            mode: .fixed(Credit(bytes: 4000, records: 100)), reading: .copied)
        options.retry = RetryPolicy(
            attempts: attempts, first: .milliseconds(10), cap: .milliseconds(40))
        options.stallTimeout = .seconds(2)
        return options
    }

    private static let failingReads: StreamByHand.Files.Rule = { operation, path in
        operation == .read && path.hasSuffix(".segment") ? .fails(.system) : nil
    }

    @Test func `goes on from its last offset once the device reads again`() throws {
        let hand = try FeedByHand(options())
        try SmallStream.append(4, to: hand.writer)
        hand.ask()
        hand.work()
        #expect(hand.offsets == [0])
        hand.disk.follow(Self.failingReads)
        hand.ask()
        hand.ask()
        hand.work()
        hand.fire()
        hand.work()
        hand.disk.follow { _, _ in nil }
        hand.fire()
        hand.work()
        hand.ask()
        hand.work()
        #expect(hand.offsets == [0, 1, 2, 3])
        #expect(hand.details(of: .reopened).contains { $0.contains(".segment") })
        #expect(hand.disk.hits > 0)
    }

    @Test func `waits twice as long each time, and no longer than the cap`() throws {
        let hand = try FeedByHand(options(attempts: 5))
        try SmallStream.append(1, to: hand.writer)
        hand.disk.follow(Self.failingReads)
        hand.ask()
        var waits: [Int64] = []
        for _ in 0..<5 {
            hand.work()
            let wait = try #require(hand.timerTimes.last)
            waits.append(wait / 1_000_000)
            hand.fire()
        }
        // One draw of each: up to 10, 20, 40, 40, 40 milliseconds; BackoffTests has the bounds.
        #expect(zip(waits, [10, 20, 40, 40, 40]).allSatisfy { $0 <= $1 })
    }

    @Test func `tells the consumer when no retry helped, and may be asked again`() throws {
        let hand = try FeedByHand(options(attempts: 1))
        try SmallStream.append(2, to: hand.writer)
        hand.disk.follow(Self.failingReads)
        hand.ask()
        hand.work()
        hand.fire()
        hand.work()
        #expect(hand.failures == [.system])
        hand.disk.follow { _, _ in nil }
        hand.ask()
        hand.work()
        #expect(hand.offsets == [0])
    }

    @Test func `reopens when its reader stalls silently, and reads nothing twice`() throws {
        let hand = try FeedByHand(options())
        try SmallStream.append(3, to: hand.writer)
        hand.ask()
        // Its thread hangs.
        let hanging = try #require(hand.stream.takeJob())
        hand.fire()
        #expect(hand.signals == [.stalled, .reopened])
        hand.work()
        #expect(hand.offsets == [0])
        // The thread comes back: what it brings is thrown away.
        hanging()
        hand.ask()
        hand.work()
        #expect(hand.offsets == [0, 1])
    }

    @Test func `is not stalled while the log has nothing for it, or it has no credit`() throws {
        let idle = try FeedByHand(options())
        try SmallStream.append(1, to: idle.writer)
        idle.ask()
        idle.work()
        idle.ask()
        idle.work()
        idle.fire()
        #expect(!idle.signals.contains(.stalled))
        var manual = options()
        manual.mode = .manual
        let poor = try FeedByHand(manual)
        try SmallStream.append(1, to: poor.writer)
        poor.ask()
        poor.fire()
        #expect(!poor.signals.contains(.stalled))
    }

    @Test func `without prefetch reads a batch when it is asked, and not before`() throws {
        let hand = try FeedByHand(options(), flags: FlowFlags(prefetch: .off))
        try SmallStream.append(4, to: hand.writer)
        hand.work()
        hand.ask()
        hand.work()
        #expect(hand.offsets == [0])
        var report = FlowReport.Consumer.empty
        hand.feed.report(into: &report)
        #expect(report.queuedRecords == 0)
        #expect(!hand.signals.contains(.overdraft))
    }

    @Test func `reserves a batch once, though it is asked for it again`() throws {
        let budget = StoreBudget(total: 1 << 20)
        let place = try #require(budget.admit(reserve: 4 << 10))
        let settings = FeedSettings(
            options(), variant: FlowFlags().variant(for: "c"), batchBytesMax: 4 << 10)
        var feed = FeedState(
            settings: settings, account: BudgetAccount(budget: budget, id: place), at: .zero)
        feed.reader = .reading
        let size = Credit(bytes: 3000, records: 1)
        for _ in 0..<2 {
            let admission = feed.admit(size, generation: 0, at: .zero)
            #expect(admission != .hold)
        }
        #expect(feed.ledger.queued == size)
        #expect(budget.report.usedBytes == 3000)
    }

    /// The log's last batch is on its way: there is no more that credit could lack for.
    @Test func `is not told of lacking credit for the batch that is being read`() throws {
        let budget = StoreBudget(total: 1 << 20)
        let place = try #require(budget.admit(reserve: 4 << 10))
        let options = SubscriptionOptions(mode: .fixed(Credit(bytes: 4096, records: 1)))
        let settings = FeedSettings(
            options, variant: FlowFlags().variant(for: "c"), batchBytesMax: 4 << 10)
        var feed = FeedState(
            settings: settings, account: BudgetAccount(budget: budget, id: place), at: .zero)
        feed.reader = .reading
        feed.begin(at: .zero)
        let admission = feed.admit(
            Credit(bytes: 4096, records: 1), generation: 0, at: .zero)
        #expect(admission != .hold)
        feed.noteExhausted(visibleEnd: Offset(1))
        #expect(!feed.ledger.isExhausted)
    }

    @Test func `gets batches one by one that are larger than the whole budget`() throws {
        let budget = StoreBudget(total: 1000)
        let hand = try FeedByHand(options(), budget: budget)
        try SmallStream.append(3, to: hand.writer)
        for expected in 1...3 {
            hand.ask()
            hand.work()
            #expect(hand.offsets.count == expected)
            #expect((1500..<2000).contains(budget.report.usedBytes))
        }
        hand.feed.finish(nil)
        #expect(budget.report.usedBytes == 0)
    }

    @Test func `admits who waits when memory comes back, and when the first in line gives up`()
        throws
    {
        let budget = StoreBudget(total: 1000)
        let holder = try #require(budget.admit(reserve: 100))
        #expect(budget.take(500, for: holder))
        let admitted = Lock<[String]>([])
        let large = budget.wait(reserve: 950) { _ in admitted.withLock { $0.append("large") } }
        _ = budget.wait(reserve: 800) { _ in admitted.withLock { $0.append("small") } }
        #expect(budget.giveUp(large))
        #expect(admitted.withLock { $0 } == [])
        budget.give(450, from: holder)
        #expect(admitted.withLock { $0 } == ["small"])
    }

    @Test func `gives back what it holds when it ends, whatever its reader is at`() throws {
        let hand = try FeedByHand(options())
        try SmallStream.append(4, to: hand.writer)
        hand.ask()
        hand.work()
        hand.ask()
        let late = hand.stream.takeJob()
        hand.feed.finish(nil)
        late?()
        var report = FlowReport.Consumer.empty
        hand.feed.report(into: &report)
        #expect(report.queuedBytes == 0)
        #expect(report.leasedBytes == 0)
        #expect(hand.feed.poll().map { "\($0)" } == "end")
    }
}

extension FlowReport.Consumer {
    static var empty: FlowReport.Consumer {
        FlowReport.Consumer(
            name: "", stream: "", partition: nil, mode: "", variant: "", releasedOffset: 0,
            lagRecords: 0, windowBytes: 0, windowRecords: 0, queuedBytes: 0, queuedRecords: 0,
            leasedBytes: 0, keptBytes: 0, shareBytes: 0, isWaiting: false, occupancy: [],
            occupancyMilliseconds: 0)
    }
}
