import Testing
import WeirBase
import WeirFiles
import WeirFlow
import WeirFormat
import WeirTesting

@testable import Weir
@testable import WeirLog

/// One life of a subscription on a simulated disk, all of it chosen by a seed: sizes, window, the
/// order in which its reader, its consumer and a producer take their turns.
///
/// The disk records what is read or brought in. After each turn nothing may have been touched
/// beyond what was granted and one batch; what is delivered must have been brought in before.
final class FeedTrial {
    private struct Place {
        let segment: String
        let start: Int
        let end: Int
        /// Of this batch and all before it.
        let sum: Credit
    }

    private var random: SeededRandom
    private let disk: SimulatedFileSystem
    private let engine: StoreEngine<SimulatedFileSystem>
    private let writer: LogWriter<SimulatedFileSystem>
    private var places: [Place] = []
    private let jobs = Lock<[@Sendable () -> Void]>([])
    private let waits = Lock<[(Offset, @Sendable () -> Void)]>([])
    private let outcomes = Lock<[FeedOutcome]>([])
    private let isManual: Bool
    private let isMapped: Bool
    private let window: Credit
    private let feed: Feed<SimulatedFileSystem>
    private let budget = StoreBudget(total: 64 << 20)
    /// What the consumer has granted so far, by hand or by giving back.
    private var granted: Credit
    private var isWaiting = false
    private var leases: [(id: UInt64, size: Credit)] = []
    private(set) var delivered = 0
    /// The consumer was told to look and has not done so yet.
    private var look: UInt64?
    private(set) var looked = 0
    private var broughtIn: [String: [Range<Int>]] = [:]

    init(seed: UInt64) throws {
        random = SeededRandom(seed: seed)
        disk = SimulatedFileSystem(seed: seed)
        let machine = SimulatedMachine(seed: seed)
        engine = try StoreEngine.open(files: disk, host: machine.host, creating: true)
        let name = try StreamName("s")
        try engine.create(
            name,
            StreamConfiguration(
                durability: .flushed, compression: seed % 3 == 0 ? .lz4 : .off,
                segmentBytes: 32 << 10, batchBytesMax: 8 << 10))
        writer = try #require(engine.stream(name)?.writer)
        isManual = random.oneIn(3)
        isMapped = !random.oneIn(3)
        window = Credit(bytes: 1 + random.below(20_000), records: 1 + random.below(30))
        granted = isManual ? .zero : window
        let place = try #require(budget.admit(reserve: 8 << 10))
        let options = SubscriptionOptions(
            mode: isManual ? .manual : .fixed(window),
            knobs: FlowKnobs(
                maxQueue: Credit(bytes: random.below(30_000), records: random.below(40)),
                maxOutstanding: Credit(bytes: 1 << 20, records: 1 << 20)))
        let flags = FlowFlags(prefetch: random.oneIn(5) ? .off : .on)
        let (jobs, waits, view) = (jobs, waits, writer.view)
        // Somebody else is served at the end of the log: this one takes turns with its reader.
        let tail = TailClock()
        if random.oneIn(3) { tail.note(.zero) }
        let around = FeedSurroundings(
            run: { job in jobs.withLock { $0.append(job) } },
            whenMore: { offset, body in
                if view.visibleEnd > offset { return body() }
                waits.withLock { $0.append((offset, body)) }
            },
            after: { _, _ in }, now: { .zero }, random: { 0 }, note: { _, _ in },
            released: { _ in }, delivered: { _ in }, tail: tail, residence: { _, _ in }, ended: {})
        feed = Feed(
            view: writer.view,
            settings: FeedSettings(
                options, variant: flags.variant(for: "c"), batchBytesMax: 8 << 10),
            reading: isMapped ? .mapped : .copied,
            account: BudgetAccount(budget: budget, id: place), around: around,
            start: { .init(offset: .zero) })
        _ = disk.takeTouched()
    }

    func run() throws {
        for _ in 0..<20 { try append() }
        _ = disk.takeTouched()
        for _ in 0..<120 { try turn() }
        // Whatever happened: a consumer that goes on gets everything.
        while delivered < places.count { try drain() }
        feed.finish(nil)
        #expect(budget.report.usedBytes == 0)
    }

    private func turn() throws {
        switch random.below(10) {
        case 0: try append()
        case 1...4: try work()
        case 5...7: ask()
        case 8:
            try giveBack()
            disk.shortenMemory(random.oneIn(4))
        default: try grant()
        }
        try check()
    }

    /// The consumer's part and the reader's, until a batch comes.
    private func drain() throws {
        let before = delivered
        ask()
        for _ in 0..<40 where delivered == before {
            // Debt from an overdraft may take several grants to pay.
            try grant()
            try work()
            try check()
        }
        try #require(delivered > before, "a consumer that waits gets nothing")
    }

    private func append() throws {
        var builder = BatchBuilder(byteLimit: 8 << 10)
        let value = [UInt8](repeating: UInt8(random.below(256)), count: random.below(1500))
        for _ in 0...random.below(5) { _ = builder.append(value: value.span.bytes) }
        let size = Credit(bytes: builder.bodyByteCount, records: builder.recordCount)
        _ = try writer.append(&builder, needsSync: false)
        let segment = try #require(writer.view.segments.last)
        let end = Int(segment.readableEnd.value)
        // The last batch of the segment is the one just written.
        var walk = LogCursor(view: writer.view, at: Offset(writer.nextOffset.value - 1))
        _ = try walk.next()
        let start = Int(walk.position.value)
        places.append(
            Place(
                segment: segment.path, start: start, end: end,
                sum: (places.last?.sum ?? .zero) + size))
        // What the trial itself read is nobody's.
        _ = disk.takeTouched()
        let more = waits.withLock { waits in
            defer { waits = [] }
            return waits
        }
        for (_, body) in more { body() }
    }

    private func work() throws {
        if let generation = look, random.oneIn(2) { return lookNow(generation) }
        let job = jobs.withLock { $0.isEmpty ? nil : $0.removeFirst() }
        job?()
        take()
    }

    private func ask() {
        guard !isWaiting else { return }
        isWaiting = true
        // Asking gives the last batch back.
        if let last = leases.popLast() { gave(last.size) }
        wait()
    }

    private func wait() {
        let outcomes = outcomes
        _ = feed.wait(mayLook: random.oneIn(2)) { outcome in
            outcomes.withLock { $0.append(outcome) }
        }
        take()
    }

    private func lookNow(_ generation: UInt64) {
        look = nil
        guard let outcome = feed.look(generation) else { return wait() }
        looked += 1
        outcomes.withLock { $0.append(outcome) }
        take()
    }

    private func gave(_ size: Credit) { if !isManual { granted += size } }

    private func take() {
        let found = outcomes.withLock { outcomes in
            defer { outcomes = [] }
            return outcomes
        }
        for outcome in found {
            if case .look(let generation) = outcome {
                look = generation
                continue
            }
            isWaiting = false
            guard case .batch(let batch, let id) = outcome else {
                Issue.record("an outcome that is no batch: \(outcome)")
                continue
            }
            #expect(batch.header.endOffset == batch.header.firstOffset + batch.header.recordCount)
            leases.append((id, batch.header.credit))
            note()
            expectResident(places[delivered])
            delivered += 1
        }
    }

    private func giveBack() throws {
        guard let last = leases.popLast() else { return }
        if random.oneIn(2) { try feed.keep(last.id) }
        try feed.release(last.id)
        gave(last.size)
    }

    private func grant() throws {
        guard isManual else { return }
        let credit = Credit(bytes: 1 + random.below(9000), records: 1 + random.below(10))
        try feed.grant(credit)
        granted += credit
    }

    // MARK: what must hold

    private func note() {
        for touch in disk.takeTouched() where touch.path.hasSuffix(".segment") {
            broughtIn[touch.path, default: []].append(touch.bytes)
        }
    }

    private func expectResident(_ place: Place) {
        let ranges = (broughtIn[place.segment] ?? []).sorted { $0.lowerBound < $1.lowerBound }
        var covered = place.start
        for range in ranges where range.lowerBound <= covered {
            covered = max(covered, (range.upperBound + 4095) & ~4095)
        }
        #expect(covered >= place.end, "batch \(delivered) was delivered and not brought in")
    }

    /// Nothing was touched behind the granted batches and one more.
    private func check() throws {
        note()
        let whole = places.partition { !granted.covers($0.sum) }
        guard whole + 1 < places.count else { return }
        let limit = places[whole]
        for (path, ranges) in broughtIn {
            for range in ranges where isBatches(range, in: path) {
                let isBehind =
                    path == limit.segment
                    ? range.upperBound > limit.end
                    : places.firstIndex { $0.segment == path } ?? 0 > whole
                try #require(!isBehind, "\(range) of \(path) was touched beyond the credit")
            }
        }
    }

    /// A footer is no batch, and no credit pays for it.
    private func isBatches(_ range: Range<Int>, in path: String) -> Bool {
        let end = places.last { $0.segment == path }?.end ?? .max
        return range.lowerBound < end && range.lowerBound >= SegmentHeader.alignment
    }
}

@Suite("Reading ahead")
struct FeedTests {
    @Test func `goes no further than what was granted and one batch`() throws {
        let first = UInt64.random(in: 1...1_000_000)
        var (delivered, looked) = (0, 0)
        for seed in first..<first + 1000 {
            do {
                let trial = try FeedTrial(seed: seed)
                try trial.run()
                delivered += trial.delivered
                looked += trial.looked
            } catch {
                Issue.record("seed \(seed): \(error)")
                return
            }
        }
        #expect(delivered > 20_000)
        #expect(looked > 5)
    }
}
