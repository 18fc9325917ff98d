import Testing
import WeirBase
import WeirFiles
import WeirFlow
import WeirFormat
import WeirLog
import WeirTesting

@testable import Weir

/// A stream, its subscriptions' thread and clock, run by hand, over a disk that fails by rule.
final class StreamByHand {
    typealias Files = FaultyFileSystem<SimulatedFileSystem>
    let simulated = SimulatedFileSystem(seed: 3, capacity: 8 << 20)
    let disk: Files
    let writer: LogWriter<Files>
    let batchBytesMax: Int
    fileprivate let jobs = Lock<[@Sendable () -> Void]>([])
    fileprivate let clock = Lock(Moment.zero)

    init(segmentBytes: Int = 8 << 10, batchBytesMax: Int = 4 << 10) throws {
        self.batchBytesMax = batchBytesMax
        disk = FaultyFileSystem(simulated)
        let engine = try StoreEngine.open(
            files: disk, host: SimulatedMachine(seed: 3).host, creating: true)
        try engine.create(
            try StreamName("s"),
            StreamConfiguration(
                durability: .flushed, segmentBytes: segmentBytes, batchBytesMax: batchBytesMax))
        writer = try SmallStream.writer(engine)
    }

    /// Appends a batch of one record; where it stands.
    @discardableResult
    func append(bytes: Int) throws -> Range<Int> {
        try SmallStream.append(to: writer, bytes: bytes, batchBytesMax: batchBytesMax)
        return try SmallStream.lastBatch(of: writer).place
    }

    /// The same, of a batch whose header does not hold.
    @discardableResult
    func appendGarbage(bytes: Int) throws -> Range<Int> {
        let place = try append(bytes: bytes)
        let path = try #require(writer.view.segments.last).path
        try simulated.spoil(path, at: place.lowerBound, with: [0])
        return place
    }

    /// A job that the thread never gets to, or does next.
    func takeJob() -> (@Sendable () -> Void)? {
        jobs.withLock { $0.isEmpty ? nil : $0.removeFirst() }
    }
    var clockSeconds: Int64 { clock.withLock { $0 - .zero } / 1_000_000_000 }
    func pass(_ duration: Duration) {
        clock.withLock { $0 = $0 + Int64(duration / .nanoseconds(1)) }
    }
}

/// A subscription of such a stream.
final class FeedByHand {
    private typealias Timer = (nanoseconds: Int64, due: Moment, body: @Sendable () -> Void)
    let stream: StreamByHand
    let feed: Feed<StreamByHand.Files>
    private let timers = Lock<[Timer]>([])
    private let outcomes = Lock<[FeedOutcome]>([])
    private let noted = Lock<[(kind: SignalKind, detail: String)]>([])

    init(
        _ options: SubscriptionOptions, flags: FlowFlags = FlowFlags(),
        budget: StoreBudget = StoreBudget(total: 1 << 20), on stream: StreamByHand? = nil,
        start: UInt64 = 0, reading: ReadingMode = .copied
    ) throws {
        let stream = try stream ?? StreamByHand()
        self.stream = stream
        let place = try #require(budget.admit(reserve: min(4 << 10, budget.report.totalBytes)))
        let (jobs, timers, clock, noted) = (stream.jobs, timers, stream.clock, noted)
        feed = Feed(
            view: stream.writer.view,
            settings: FeedSettings(
                options, variant: flags.variant(for: "c"), batchBytesMax: stream.batchBytesMax),
            reading: reading, account: BudgetAccount(budget: budget, id: place),
            around: FeedSurroundings(
                run: { job in jobs.withLock { $0.append(job) } }, whenMore: { _, _ in },
                after: { time, body in
                    let due = clock.withLock { $0 + time }
                    timers.withLock { $0.append((time, due, body)) }
                },
                now: { clock.withLock { $0 } }, random: { .max },
                note: { kind, detail in noted.withLock { $0.append((kind, detail)) } },
                released: { _ in }, delivered: { _ in }, tail: TailClock(), residence: { _, _ in },
                ended: {}),
            start: { .init(offset: Offset(start)) })
    }

    var disk: StreamByHand.Files { stream.disk }
    var writer: LogWriter<StreamByHand.Files> { stream.writer }

    func ask() {
        let outcomes = outcomes
        _ = feed.wait(mayLook: false) { outcome in outcomes.withLock { $0.append(outcome) } }
    }

    /// Runs the readers that are due, and no timer.
    func work() { while let job = stream.takeJob() { job() } }
    /// Lets the time of every timer pass.
    func fire() {
        let due = timers.withLock { timers in
            defer { timers = [] }
            return timers
        }
        for timer in due {
            stream.clock.withLock { $0 = max($0, timer.due) }
            timer.body()
        }
    }
    var timerTimes: [Int64] { timers.withLock { $0.map(\.nanoseconds) } }
    var signals: [SignalKind] { noted.withLock { $0.map(\.kind) } }
    func details(of kind: SignalKind) -> [String] {
        noted.withLock { $0.filter { $0.kind == kind }.map(\.detail) }
    }

    var offsets: [UInt64] {
        outcomes.withLock {
            $0.compactMap { outcome in
                guard case .batch(let batch, _) = outcome else { return nil }
                return batch.header.firstOffset.value
            }
        }
    }
    var gaps: [Gap] {
        outcomes.withLock {
            $0.compactMap { outcome in
                if case .gap(let gap) = outcome { gap } else { nil }
            }
        }
    }
    var failures: [WeirError.Code] {
        outcomes.withLock {
            $0.compactMap { outcome in
                if case .failure(let error) = outcome { error.code } else { nil }
            }
        }
    }
}
