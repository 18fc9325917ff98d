import Testing
import WeirBase
import WeirFiles
import WeirFlow
import WeirFormat
import WeirTesting

@testable import Weir
@testable import WeirLog

/// One life of a subscription on a simulated disk, all of it chosen by a seed: sizes, window, what
/// is damaged, the order in which its reader, its consumer and a producer take their turns, and
/// whether the consumer ends in the middle.
///
/// The disk records what is read or brought in. After each turn nothing may have been touched
/// beyond what was granted and one batch, or one step of a search behind a damaged header; what is
/// delivered must have been brought in before, and what is not must be damaged.
final class FeedTrial {
    private enum Damage { case header, body }

    private struct Place {
        let segment: String
        let start: Int
        let end: Int
        let offsets: Range<Offset>
        var damage: Damage?
        /// Of this batch and all before it; damaged ones cost nothing.
        let sum: Credit
    }

    /// What the consumers of many trials met.
    struct Tally {
        var delivered = 0
        var looked = 0
        var ended = 0
        var interrupted = 0
        /// Changes of an adaptive window.
        var resized = 0
        var damagedHeaders = 0
        var damagedBodies = 0
        /// Damage of several batches in a row, and up to a segment's end.
        var runs = 0
        var lostEnds = 0
        /// Searches of several calls.
        var longSearches = 0

        static func += (sum: inout Tally, one: Tally) {
            sum.delivered += one.delivered
            sum.looked += one.looked
            sum.ended += one.ended
            sum.interrupted += one.interrupted
            sum.resized += one.resized
            sum.damagedHeaders += one.damagedHeaders
            sum.damagedBodies += one.damagedBodies
            sum.runs += one.runs
            sum.lostEnds += one.lostEnds
            sum.longSearches += one.longSearches
        }
    }

    private var random: SeededRandom
    private let disk: SimulatedFileSystem
    private let engine: StoreEngine<SimulatedFileSystem>
    private let writer: LogWriter<SimulatedFileSystem>
    private var places: [Place] = []
    private let jobs = Lock<[@Sendable () -> Void]>([])
    private let waits = Lock<[(Offset, @Sendable () -> Void)]>([])
    private let outcomes = Lock<[FeedOutcome]>([])
    private let mode: WindowMode
    private let feed: Feed<SimulatedFileSystem>
    private let budget = StoreBudget(total: 64 << 20)
    /// What the consumer has given so far, by hand or by giving back.
    private var given = Credit.zero
    /// The most that it has granted so far: that and its window.
    private var granted = Credit.zero
    private var isWaiting = false
    private var leases: [(id: UInt64, size: Credit)] = []
    /// The batch that it gets next.
    private var next = 0
    private(set) var tally = Tally()
    /// The consumer was told to look and has not done so yet.
    private var look: UInt64?
    private var broughtIn: [String: [Range<Int>]] = [:]
    private var unchecked: [SimulatedFileSystem.Touch] = []
    private let clock = Lock(Moment.zero)
    /// What the consumer does while its reader has a batch in its hands.
    private let interruption = Lock<(@Sendable () -> Void)?>(nil)
    private var mayBeInterrupted = false
    private let isOver = Lock(false)
    private var lastWindow: Credit?
    private var isRotten: Bool
    /// Some batches are so long that the search behind their damaged header takes several calls.
    private let hasLongDamage: Bool
    private var damagedBatchesLeft = 0
    /// Damaged from some batch on.
    private var lostSegment: String?

    init(seed: UInt64) throws {
        random = SeededRandom(seed: seed)
        hasLongDamage = random.oneIn(4)
        let batchBytesMax = Self.batchBytesMax(hasLongDamage)
        disk = SimulatedFileSystem(seed: seed, capacity: 2 << 20)
        let machine = SimulatedMachine(seed: seed)
        engine = try StoreEngine.open(files: disk, host: machine.host, creating: true)
        let name = try StreamName("s")
        try engine.create(
            name,
            StreamConfiguration(
                durability: .flushed, compression: seed % 3 == 0 ? .lz4 : .off,
                segmentBytes: hasLongDamage ? 1 << 20 : 32 << 10, batchBytesMax: batchBytesMax))
        writer = try #require(engine.stream(name)?.writer)
        let reading: ReadingMode = random.oneIn(3) ? .copied : .mapped
        let window = Credit(bytes: 1 + random.below(20_000), records: 1 + random.below(30))
        mode = [.manual, .fixed(window), .adaptive][random.below(3)]
        isRotten = !random.oneIn(3)
        if random.oneIn(8) { disk.refusePages(true) }
        let place = try #require(budget.admit(reserve: batchBytesMax))
        let options = SubscriptionOptions(
            mode: mode,
            knobs: FlowKnobs(
                maxQueue: Credit(bytes: random.below(30_000), records: random.below(40)),
                maxOutstanding: Credit(bytes: 1 << 20, records: 1 << 20)))
        let flags = FlowFlags(prefetch: random.oneIn(5) ? .off : .on)
        let (jobs, waits, view) = (jobs, waits, writer.view)
        let (clock, interruption) = (clock, interruption)
        // Somebody else is served at the end of the log: this one takes turns with its reader.
        let tail = TailClock()
        if random.oneIn(3) { tail.note(.zero) }
        let around = FeedSurroundings(
            run: { job in jobs.withLock { $0.append(job) } },
            whenMore: { offset, body in
                if view.visibleEnd > offset { return body() }
                waits.withLock { $0.append((offset, body)) }
            },
            after: { _, _ in }, now: { clock.withLock { $0 } }, random: { 0 },
            note: { _, _ in }, released: { _ in },
            delivered: { _ in interruption.withLock { $0.take() }?() },
            tail: tail, residence: { _, _ in }, ended: {})
        feed = Feed(
            view: writer.view,
            settings: FeedSettings(
                options, variant: flags.variant(for: "c"), batchBytesMax: batchBytesMax),
            reading: reading, account: BudgetAccount(budget: budget, id: place),
            around: around, start: { .init(offset: .zero) })
        _ = disk.takeTouched()
    }

    private static func batchBytesMax(_ hasLongDamage: Bool) -> Int {
        hasLongDamage ? 512 << 10 : 8 << 10
    }

    private var isManual: Bool { mode == .manual }
    private var hasEnded: Bool { isOver.withLock { $0 } }
    private var wasInterrupted: Bool { mayBeInterrupted && hasEnded }

    func run() throws {
        for _ in 0..<20 { try append() }
        let lastTurn = random.oneIn(3) ? random.below(120) : nil
        for turn in 0..<120 {
            if turn == lastTurn { end() }
            try self.turn()
        }
        // Whatever happened: a consumer that goes on gets everything.
        while lastTurn == nil, next < places.count { try drain() }
        if hasEnded { tally.ended += 1 }
        if wasInterrupted { tally.interrupted += 1 }
        feed.finish(nil)
        #expect(budget.report.usedBytes == 0)
    }

    /// The consumer ends: now, or while the next batch is read for it.
    private func end() {
        let end: @Sendable () -> Void = { [feed, isOver] in
            isOver.withLock { $0 = true }
            feed.finish(nil)
        }
        if random.oneIn(2) {
            end()
        } else {
            mayBeInterrupted = true
            interruption.withLock { $0 = end }
        }
    }

    private func turn() throws {
        let nanoseconds = Int64(random.below(2_000_000))
        clock.withLock { $0 = $0 + nanoseconds }
        let wasOver = hasEnded
        switch random.below(10) {
        case 0: try append()
        case 1...4: try work()
        case 5...7: ask()
        case 8:
            try giveBack()
            disk.shortenMemory(random.oneIn(4))
        default: try grant()
        }
        if wasOver {
            let touched = disk.takeTouched().filter { $0.path.hasSuffix(".segment") }
            try #require(touched.isEmpty, "\(touched) was touched after the end")
        } else {
            try check()
        }
    }

    /// The consumer's part and the reader's, until a batch comes.
    private func drain() throws {
        let before = next
        ask()
        for _ in 0..<200 where next == before {
            // Debt from an overdraft may take several grants to pay, and a search several jobs.
            try grant()
            try work()
            try check()
        }
        try #require(next > before, "a consumer that waits gets nothing")
    }

    private func append() throws {
        let isLong = hasLongDamage && random.oneIn(8)
        var builder = BatchBuilder(byteLimit: Self.batchBytesMax(hasLongDamage))
        let value = [UInt8](
            repeating: UInt8(random.below(256)),
            count: random.below(isLong ? 400_000 : 1500))
        for _ in 0...(isLong ? 0 : random.below(5)) { _ = builder.append(value: value.span.bytes) }
        let size = Credit(bytes: builder.bodyByteCount, records: builder.recordCount)
        _ = try writer.append(&builder, needsSync: false)
        let segment = try #require(writer.view.segments.last)
        let (header, place) = try SmallStream.lastBatch(of: writer)
        let start = place.lowerBound
        let damage = isLong ? .header : chooseDamage(in: segment.path)
        switch damage {
        case .header: try flip(segment.path, at: start + random.below(BatchHeader.byteCount))
        case .body:
            try flip(
                segment.path, at: start + header.bodyStart + random.below(header.bodyLength))
        case nil: break
        }
        places.append(
            Place(
                segment: segment.path, start: start, end: place.upperBound,
                offsets: header.firstOffset..<header.endOffset, damage: damage,
                sum: (places.last?.sum ?? .zero) + (damage == nil ? size : .zero)))
        // What the trial itself read is nobody's.
        _ = disk.takeTouched()
        let more = waits.withLock { waits in
            defer { waits = [] }
            return waits
        }
        for (_, body) in more { body() }
    }

    /// One batch, some in a row, or all to the end of their segment.
    private func chooseDamage(in segment: String) -> Damage? {
        if damagedBatchesLeft == 0, lostSegment != segment {
            guard isRotten, random.oneIn(6) else { return nil }
            if random.oneIn(4) { lostSegment = segment }
            damagedBatchesLeft = 1 + random.below(4)
        }
        damagedBatchesLeft = max(0, damagedBatchesLeft - 1)
        return random.oneIn(2) ? .header : .body
    }

    private func flip(_ path: String, at position: Int) throws {
        let file = try disk.open(path, .read)
        let place = FilePosition(UInt64(position))
        let byte = try #require(try disk.read(file, at: place, byteCount: 1).first)
        try disk.spoil(path, at: position, with: [byte ^ UInt8(1 << random.below(8))])
        try disk.close(file)
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
        tally.looked += 1
        outcomes.withLock { $0.append(outcome) }
        take()
    }

    private func gave(_ size: Credit) { if !isManual { given += size } }

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
            switch outcome {
            case .batch(let batch, let id): take(batch, id)
            case .gap(let gap): take(gap)
            case .end where hasEnded: break
            default: Issue.record("an outcome that is no batch: \(outcome)")
            }
        }
    }

    private func take(_ batch: LentBatch, _ id: UInt64) {
        leases.append((id, batch.header.credit))
        note()
        guard next < places.count else {
            Issue.record("a batch that is not there")
            return
        }
        let place = places[next]
        #expect(place.damage == nil)
        #expect(place.offsets == batch.header.firstOffset..<batch.header.endOffset)
        expectResident(place)
        next += 1
        tally.delivered += 1
    }

    /// All of it must be damaged.
    private func take(_ gap: Gap) {
        let end = places.partition { $0.offsets.lowerBound >= gap.next }
        guard next < end, places[next].offsets.lowerBound == gap.expected,
            places[end - 1].offsets.upperBound == gap.next
        else {
            Issue.record("a gap that is none: \(gap)")
            return
        }
        for place in places[next..<end] {
            let isLong = place.end - place.start > Limits.headerSearchBytesMax
            switch place.damage {
            case .header where isLong: tally.longSearches += 1
            case .header: tally.damagedHeaders += 1
            case .body: tally.damagedBodies += 1
            case nil: Issue.record("offsets \(place.offsets) were lost though nothing happened")
            }
        }
        if end - next > 1 { tally.runs += 1 }
        if end < places.count, places[end].segment != places[end - 1].segment {
            tally.lostEnds += 1
        }
        next = end
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
        if hasEnded {
            #expect(throws: WeirError.self) { try feed.grant(credit) }
        } else {
            try feed.grant(credit)
            given += credit
        }
    }

    // MARK: what must hold

    private func note() {
        for touch in disk.takeTouched() where touch.path.hasSuffix(".segment") {
            broughtIn[touch.path, default: []].append(touch.bytes)
            unchecked.append(touch)
        }
    }

    private func expectResident(_ place: Place) {
        let ranges = (broughtIn[place.segment] ?? []).sorted { $0.lowerBound < $1.lowerBound }
        var covered = place.start
        for range in ranges where range.lowerBound <= covered {
            covered = max(covered, (range.upperBound + 4095) & ~4095)
        }
        #expect(covered >= place.end, "\(place) was delivered and not brought in")
    }

    /// Nothing was touched behind the granted batches and one more.
    private func check() throws {
        note()
        noteGranted()
        defer { unchecked = [] }
        let whole = places.partition { !granted.covers($0.sum) }
        guard whole + 1 < places.count else { return }
        let limit = places[whole]
        let end = max(limit.end, searchEnd(before: whole))
        for touch in unchecked where isBatches(touch.bytes, in: touch.path) {
            let isBehind =
                touch.path == limit.segment
                ? touch.bytes.upperBound > end
                : places.firstIndex { $0.segment == touch.path } ?? 0 > whole
            try #require(!isBehind, "\(touch) was beyond the credit")
        }
    }

    /// A window changes once in a turn at most, so it is seen.
    private func noteGranted() {
        let window = window
        if let lastWindow, lastWindow != window { tally.resized += 1 }
        lastWindow = window
        let now = given + (isManual ? .zero : window)
        granted.bytes = max(granted.bytes, now.bytes)
        granted.records = max(granted.records, now.records)
    }

    private var window: Credit {
        var report = FlowReport.Consumer.empty
        feed.report(into: &report)
        return Credit(bytes: report.windowBytes, records: report.windowRecords)
    }

    /// Behind damaged headers the next one is looked for, in steps: the last of them may go on
    /// behind it.
    private func searchEnd(before index: Int) -> Int {
        let segment = places[index].segment
        let last = places[..<index].last { $0.damage == .header && $0.segment == segment }
        guard let last else { return 0 }
        let found = places.first {
            $0.segment == segment && $0.start > last.start && $0.damage != .header
        }
        return (found ?? last).start + Limits.headerSearchBytes
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
        var met = FeedTrial.Tally()
        for seed in first..<first + 1000 {
            do {
                let trial = try FeedTrial(seed: seed)
                try trial.run()
                met += trial.tally
            } catch {
                Issue.record("seed \(seed): \(error)")
                return
            }
        }
        #expect(met.delivered > 12_000)
        #expect(met.looked > 5)
        #expect(met.ended > 100)
        #expect(met.interrupted > 50)
        #expect(met.resized > 300)
        #expect(met.damagedHeaders > 1000)
        #expect(met.damagedBodies > 1000)
        #expect(met.runs > 500)
        #expect(met.lostEnds > 100)
        #expect(met.longSearches > 150)
    }
}
