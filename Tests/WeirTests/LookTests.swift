import Testing
import WeirBase
import WeirFlow
import WeirFormat
import WeirLog
import WeirTesting

@testable import Weir

/// A subscription at the end of its log, whose threads are run by hand.
private final class TailByHand {
    let disk = SimulatedFileSystem(seed: 5, capacity: 8 << 20)
    private let writer: LogWriter<SimulatedFileSystem>
    let feed: Feed<SimulatedFileSystem>
    private let jobs = Lock<[@Sendable () -> Void]>([])
    private let more = Lock<(@Sendable () -> Void)?>(nil)
    private let outcomes = Lock<[FeedOutcome]>([])

    init() throws {
        let engine = try StoreEngine.open(
            files: disk, host: SimulatedMachine(seed: 5).host, creating: true)
        let name = try StreamName("s")
        try engine.create(
            name,
            StreamConfiguration(
                durability: .flushed, segmentBytes: 4 << 20, batchBytesMax: 256 << 10))
        writer = try #require(engine.stream(name)?.writer)
        let budget = StoreBudget(total: 1 << 20)
        let place = try #require(budget.admit(reserve: 256 << 10))
        let (jobs, more) = (jobs, more)
        feed = Feed(
            view: writer.view,
            settings: FeedSettings(
                SubscriptionOptions(), variant: FlowFlags().variant(for: "c"),
                batchBytesMax: 256 << 10),
            reading: .mapped, account: BudgetAccount(budget: budget, id: place),
            around: FeedSurroundings(
                run: { job in jobs.withLock { $0.append(job) } },
                whenMore: { _, body in more.withLock { $0 = body } }, after: { _, _ in },
                now: { .zero }, random: { 0 }, note: { _, _ in }, released: { _ in },
                delivered: { _ in }, tail: TailClock(), residence: { _, _ in }, ended: {}),
            start: { .init(offset: .zero) })
        // A first batch by a thread: it maps the segment.
        wait(mayLook: false)
        work()
        try append(bytes: 10)
        work()
        #expect(take() == ["batch 0"])
        wait()
    }

    /// A batch whose header does not hold; where it stands.
    func appendGarbage(bytes: Int) throws -> Range<Int> {
        try append(bytes: bytes)
        let place = try SmallStream.lastBatch(of: writer).place
        let segment = try #require(writer.view.segments.last)
        try disk.spoil(segment.path, at: place.lowerBound, with: [0])
        return place
    }

    func append(bytes: Int) throws {
        var builder = BatchBuilder(byteLimit: 256 << 10)
        _ = builder.append(value: [UInt8](repeating: 1, count: bytes).span.bytes)
        _ = try writer.append(&builder, needsSync: false)
        more.withLock { $0.take() }?()
    }

    func wait(mayLook: Bool = true) {
        let outcomes = outcomes
        _ = feed.wait(mayLook: mayLook) { outcome in outcomes.withLock { $0.append(outcome) } }
    }

    /// Runs the readers that are due; how many there were.
    @discardableResult
    func work() -> Int {
        var count = 0
        while let job = jobs.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) {
            job()
            count += 1
        }
        return count
    }

    /// What came, in words.
    func take() -> [String] {
        let found = outcomes.withLock { outcomes in
            defer { outcomes = [] }
            return outcomes
        }
        return found.map(Self.words)
    }

    var isTold: Bool { outcomes.withLock { !$0.isEmpty } }

    /// What the consumer sees where it was told to look.
    func look() throws -> String? {
        let last = try #require(outcomes.withLock { $0.popLast() })
        guard case .look(let generation) = last else {
            Issue.record("told \(Self.words(last)), and not to look")
            return nil
        }
        return feed.look(generation).map(Self.words)
    }

    static func words(_ outcome: FeedOutcome) -> String {
        switch outcome {
        case .batch(let batch, _): "batch \(batch.header.firstOffset)"
        case .look: "look"
        case .end: "end"
        case .gap, .failure, .timedOut: "something else"
        }
    }
}

@Suite("A consumer at the end of its log")
struct LookTests {
    @Test func `reads what was appended itself`() throws {
        let tail = try TailByHand()
        try tail.append(bytes: 100)
        #expect(try tail.look() == "batch 1")
        #expect(tail.work() == 0)
        tail.wait()
        try tail.append(bytes: 100)
        #expect(try tail.look() == "batch 2")
    }

    @Test func `leaves to a thread what is not in memory`() throws {
        let tail = try TailByHand()
        tail.disk.shortenMemory(true)
        try tail.append(bytes: 100)
        #expect(try tail.look() == nil)
        tail.wait()
        #expect(tail.work() == 1)
        #expect(tail.take() == ["batch 1"])
    }

    @Test func `leaves to a thread what is large`() throws {
        let tail = try TailByHand()
        try tail.append(bytes: Limits.lookBytesMax)
        #expect(try tail.look() == nil)
        tail.wait()
        #expect(tail.work() == 1)
        #expect(tail.take() == ["batch 1"])
    }

    @Test func `leaves a search behind damage to a thread, after a piece in memory`() throws {
        let tail = try TailByHand()
        let garbage = try tail.appendGarbage(bytes: 200_000)
        try tail.append(bytes: 100)
        _ = tail.disk.takeTouched()
        #expect(try tail.look() == nil)
        let end = tail.disk.takeTouched().map(\.bytes.upperBound).max() ?? 0
        #expect(end > garbage.lowerBound + Limits.headerSearchBytes)
        #expect(end <= garbage.lowerBound + 2 * Limits.lookBytesMax)
        tail.wait()
        #expect(tail.work() > 0)
        #expect(tail.take() == ["something else"])
        tail.wait()
        tail.work()
        #expect(tail.take() == ["batch 2"])
    }

    @Test func `gets the next batches from a thread while it is busy`() throws {
        let tail = try TailByHand()
        try tail.append(bytes: 100)
        #expect(try tail.look() == "batch 1")
        try tail.append(bytes: 100)
        #expect(tail.work() == 1)
        tail.wait()
        #expect(tail.take() == ["batch 2"])
    }

    @Test func `is told to look less often while that is in vain`() throws {
        let tail = try TailByHand()
        var looks = 0
        for number in 1...40 {
            try tail.append(bytes: Limits.lookBytesMax)
            if tail.isTold {
                looks += 1
                #expect(try tail.look() == nil)
                tail.wait()
            }
            tail.work()
            #expect(tail.take() == ["batch \(number)"])
            tail.wait()
            tail.work()
        }
        #expect(looks == 6)
    }

    @Test func `refuses a second one that asks meanwhile, and keeps the batch in hand`() throws {
        let tail = try TailByHand()
        try tail.append(bytes: 100)
        #expect(tail.feed.poll().map(TailByHand.words) == "something else")
        #expect(try tail.look() == "batch 1")
    }

    @Test func `sees nothing once it has ended`() throws {
        let tail = try TailByHand()
        try tail.append(bytes: 100)
        tail.feed.finish(nil)
        #expect(try tail.look() == nil)
        tail.wait()
        #expect(tail.take() == ["end"])
        #expect(tail.work() == 0)
    }
}
